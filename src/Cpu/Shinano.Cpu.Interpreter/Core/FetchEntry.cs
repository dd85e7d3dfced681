namespace Shinano.Cpu.Interpreter;

/// <summary>One entry of the instruction look-aside table: linear page to decoded code.</summary>
internal unsafe struct FetchEntry
{
    /// <summary>Linear page address, plus <see cref="Valid"/>; 0 when empty.</summary>
    public ulong Tag;
    public CodePage* Page;

    /// <summary>The bit of a tag that is set in every entry that is not empty.</summary>
    public const ulong Valid = 1;
}
