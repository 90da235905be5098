/* SPDX-License-Identifier: MIT */
/*
 * replay.c - main() of a target without a fuzzer: gives it each file of its corpus once, in the
 * order of their names, and writes TAP. Any compiler with the sanitizers will do.
 *
 * usage: fuzz_NAME [FILE...]      default: all of tests/fuzz/corpus/NAME, from the top folder
 */
#include "fuzz.h"

#include <dirent.h>
#include <unistd.h>

#define SECONDS_PER_INPUT 60

static int Count;

/* An input that the target does not survive ends the program: its comment is the last line. */
static void Replay(const char *Path)
{
    static uint8_t Buffer[FUZZ_LONGEST];
    FILE *File = fopen(Path, "rb");
    uint8_t *Data;
    size_t Size;

    printf("# %s\n", Path);
    fflush(stdout);
    if (File == NULL)
    {
        printf("Bail out! cannot read %s\n", Path);
        exit(1);
    }
    Size = fread(Buffer, 1, sizeof(Buffer), File);
    fclose(File);
    Data = FuzzCopy(Buffer, Size);
    alarm(SECONDS_PER_INPUT);
    LLVMFuzzerTestOneInput(Data, Size);
    free(Data);
    Count++;
}

static int IsVisible(const struct dirent *Entry)
{
    return Entry->d_name[0] != '.';
}

int main(int Arguments, char **Argument)
{
    struct dirent **Names;
    int Files = 0;

    for (int Index = 1; Index < Arguments; Index++)
    {
        Replay(Argument[Index]);
    }
    if (Arguments == 1)
    {
        Files = scandir(FUZZ_CORPUS, &Names, IsVisible, alphasort);
    }
    for (int Index = 0; Index < Files; Index++)
    {
        char Path[1024];

        snprintf(Path, sizeof(Path), "%s/%s", FUZZ_CORPUS, Names[Index]->d_name);
        Replay(Path);
        free(Names[Index]);
    }
    if (Files > 0)
    {
        free(Names);
    }
    printf("%s 1 - fuzz/%s replays %d inputs\n1..1\n", Count != 0 ? "ok" : "not ok", FUZZ_NAME,
           Count);
    return Count == 0;
}
