namespace Shinano.Cpu.Interpreter;

/// <summary>One entry of the instruction look-aside table: linear page to decoded code.</summary>
internal unsafe struct FetchEntry
{
    /// <summary>As <see cref="TlbEntry.Tag"/>.</summary>
    public ulong Tag;
    public CodePage* Page;
}
