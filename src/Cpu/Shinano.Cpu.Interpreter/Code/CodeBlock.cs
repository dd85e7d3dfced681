namespace Shinano.Cpu.Interpreter;

/// <summary>One decoded run of instructions of a page, entered at its start only.</summary>
internal unsafe struct CodeBlock
{
    public CodeBlock* Next;
    public Op* Ops;

    /// <summary>Number of ops, end marks included.</summary>
    public int Count;

    /// <summary>Offset of the first byte in the page.</summary>
    public ushort Start;

    /// <summary>Offset after the last byte; at most 4096.</summary>
    public ushort End;
}
