; SPDX-License-Identifier: MIT
;
; xstateregs.asm - extended registers filled from memory and read back, one by one, for the tests.
;
; The area is laid out as FXSAVE lays it out (SDM 1, table 10-2), then 16 bytes for the upper half
; of each YMM register. Filling uses the plain moves, not FXRSTOR: what is tested must not supply
; what it is compared with.

global KtFillRegisters
global KtReadRegisters

ControlWord equ 0
Mxcsr       equ 24
FirstSt     equ 32
FirstXmm    equ 160
FirstHigh   equ 512

section .text
bits 64

; VOID KtFillRegisters(RDI Area, ESI Avx) - all x87 registers, XMM0 to XMM15 and, if Avx is not 0,
; their upper halves; both control words. Changes nothing else.
align 16
KtFillRegisters:
    fninit
    fldcw [rdi + ControlWord]
%assign number 7
%rep 8
    fld tword [rdi + FirstSt + number * 16]
    %assign number number - 1
%endrep
    ldmxcsr [rdi + Mxcsr]
%assign number 0
%rep 16
    movdqu xmm %+ number, [rdi + FirstXmm + number * 16]
    %assign number number + 1
%endrep
    test esi, esi
    jz .done
%assign number 0
%rep 16
    vinsertf128 ymm %+ number, ymm %+ number, [rdi + FirstHigh + number * 16], 1
    %assign number number + 1
%endrep
.done:
    ret

; VOID KtReadRegisters(RDI Area, ESI Avx) - the same registers to Area, 16-byte aligned.
align 16
KtReadRegisters:
    fxsave64 [rdi]
    test esi, esi
    jz .done
%assign number 0
%rep 16
    vextractf128 [rdi + FirstHigh + number * 16], ymm %+ number, 1
    %assign number number + 1
%endrep
.done:
    ret
