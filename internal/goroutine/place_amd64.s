#include "textflag.h"

// func CallerPC() Place
TEXT ·CallerPC(SB), NOSPLIT|NOFRAME, $0-8
	MOVQ 8(BP), AX
	MOVQ AX, ret+0(FP)
	RET

// func CallerPCAndCurrent() (at Place, id ID)
TEXT ·CallerPCAndCurrent(SB), NOSPLIT|NOFRAME, $0-16
	MOVQ 8(BP), AX
	MOVQ AX, at+0(FP)
	MOVQ (TLS), AX
	MOVQ AX, id+8(FP)
	RET
