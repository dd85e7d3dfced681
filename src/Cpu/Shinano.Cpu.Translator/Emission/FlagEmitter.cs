namespace Shinano.Cpu.Translator;

/// <summary>Arithmetic flags between the host's register and <see cref="NativeState.SavedFlags"/>. Uses RCX; saving leaves the flags as they are.</summary>
internal static class FlagEmitter
{
    public static void Save(HostAssembler code)
    {
        code.Move(HostRegisters.Rcx, HostRegisters.Rax);
        code.Byte(0x9F); // LAHF
        code.Bytes([0x0F, 0x90, 0xC0]); // SETO al
        code.Op(0x66, false, 0x89, HostRegisters.Rax, HostOperand.State(NativeLayout.SavedFlags));
        code.Move(HostRegisters.Rax, HostRegisters.Rcx);
    }

    public static void Load(HostAssembler code)
    {
        code.Move(HostRegisters.Rcx, HostRegisters.Rax);
        code.Op(0, false, 0x0FB7, HostRegisters.Rax, HostOperand.State(NativeLayout.SavedFlags)); // MOVZX eax, word
        code.Bytes([0x04, 0x7F]); // ADD al, 7Fh: overflows when al was 1
        code.Byte(0x9E); // SAHF
        code.Move(HostRegisters.Rax, HostRegisters.Rcx);
    }
}
