/* SPDX-License-Identifier: MIT */
/*
 * glob.c - the patterns of test= and bench=.
 *
 * A mismatch after a star lets the most recent star take one more character and tries again from
 * there. Earlier stars need no second try: whatever they could give up, the last one can take. So
 * there is no recursion, and no pattern takes more than pattern length times text length steps.
 */
#include <options.h>

static BOOLEAN KiIsPatternEnd(CHAR Character)
{
    return Character == '\0' || Character == ',';
}

static BOOLEAN KiMatchAlternative(PCSTR Pattern, PCSTR Text)
{
    PCSTR AfterStar = NULL; /* the pattern after the most recent star ... */
    PCSTR StarEnd = NULL;   /* ... and the end of the text that this star has taken */

    while (*Text != '\0')
    {
        if (*Pattern == '*')
        {
            AfterStar = ++Pattern;
            StarEnd = Text;
        }
        else if (!KiIsPatternEnd(*Pattern) && (*Pattern == '?' || *Pattern == *Text))
        {
            Pattern++;
            Text++;
        }
        else if (AfterStar != NULL)
        {
            Pattern = AfterStar;
            Text = ++StarEnd;
        }
        else
        {
            return FALSE;
        }
    }
    while (*Pattern == '*')
    {
        Pattern++;
    }
    return KiIsPatternEnd(*Pattern);
}

BOOLEAN KiMatchGlob(PCSTR Pattern, PCSTR Text)
{
    for (;;)
    {
        if (KiMatchAlternative(Pattern, Text))
        {
            return TRUE;
        }
        while (!KiIsPatternEnd(*Pattern))
        {
            Pattern++;
        }
        if (*Pattern == '\0')
        {
            return FALSE;
        }
        Pattern++;
    }
}
