using Iced.Intel;

namespace Shinano.Cpu.Translator;

/// <summary>
/// REP MOVS and REP STOS, forwards and within a page on both sides, as the host's own. Longer ones, and those that go backwards, are the interpreter's, which works
/// through them page by page. No flags are changed, but their translation does: where flags are live it is the interpreter's too.
/// </summary>
internal sealed class RepeatEmitter(HostAssembler code, MemoryEmitter memory)
{
    private const int Rsi = 6;
    private const int Rdi = 7;
    private const int Rcx = HostRegisters.Rcx;
    private const int R15 = HostRegisters.R15;
    private const byte DirectionInSecondByte = 4;

    /// <summary>Whether an instruction is one of them.</summary>
    public static bool IsRepeated(in Instruction guest) =>
        guest.HasRepPrefix
        && guest.Code is Code.Movsb_m8_m8 or Code.Movsd_m32_m32 or Code.Movsq_m64_m64 or Code.Stosb_m8_AL or Code.Stosd_m32_EAX or Code.Stosq_m64_RAX
        && guest.Op0Kind == OpKind.MemoryESRDI
        && (!IsMove(guest) || (guest.Op1Kind == OpKind.MemorySegRSI && !guest.HasSegmentBase()));

    public void Emit(in GuestInstruction instruction)
    {
        if (instruction.LiveBefore != ArithmeticFlag.None)
        {
            memory.LeaveHere(instruction);
            return;
        }

        Instruction guest = instruction.Code;
        bool moves = IsMove(guest);
        int scale = guest.Code switch { Code.Movsb_m8_m8 or Code.Stosb_m8_AL => 0, Code.Movsd_m32_m32 or Code.Stosd_m32_EAX => 2, _ => 3 };
        int done = code.NewLabel();
        int backwards = code.NewLabel();

        // With a count of zero nothing is accessed (SDM 2B, REP): not even a page table entry's accessed bit changes.
        code.Op(0, true, 0x85, HostRegisters.GuestRcx, HostOperand.Reg(HostRegisters.GuestRcx)); // TEST
        code.JumpIf(HostCondition.Equal, done);
        code.Op(0, false, 0xF6, 0, HostOperand.State(NativeLayout.Rflags + 1)); // TEST byte
        code.Byte(DirectionInSecondByte);
        code.JumpIf(HostCondition.NotEqual, backwards);
        memory.LeaveAt(instruction, backwards);
        if (moves)
        {
            memory.CheckRun(instruction, Rsi, scale, write: false);
            code.Lea(Rcx, HostOperand.Mem(Rsi, R15, 0, 0));
            code.Store(HostOperand.State(NativeLayout.Temporary), Rcx);
            memory.CheckRun(instruction, Rdi, scale, write: true);
            code.Store(HostOperand.State(NativeLayout.Gpr(Rsi)), Rsi);
            code.Load(Rsi, HostOperand.State(NativeLayout.Temporary));
        }
        else
        {
            memory.CheckRun(instruction, Rdi, scale, write: true);
        }

        code.Lea(Rdi, HostOperand.Mem(Rdi, R15, 0, 0));
        code.Move(Rcx, HostRegisters.GuestRcx);
        Repeat(moves, scale);
        code.Move(HostRegisters.GuestRcx, Rcx);
        code.Op(0, true, 0x2B, Rdi, HostOperand.Reg(R15)); // SUB
        if (moves)
        {
            // By as much as the host's went on.
            code.Op(0, true, 0x2B, Rsi, HostOperand.State(NativeLayout.Temporary));
            code.Op(0, true, 0x03, Rsi, HostOperand.State(NativeLayout.Gpr(Rsi)));
        }

        code.Bind(done);
        memory.ForgetAddend();
    }

    private static bool IsMove(in Instruction guest) => guest.Code is Code.Movsb_m8_m8 or Code.Movsd_m32_m32 or Code.Movsq_m64_m64;

    private void Repeat(bool moves, int scale)
    {
        code.Byte(0xF3);
        if (scale == 3)
        {
            code.Byte(0x48);
        }

        code.Byte((byte)((moves ? 0xA4 : 0xAA) + (scale == 0 ? 0 : 1)));
    }
}
