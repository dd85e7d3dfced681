namespace Shinano.Cpu.Interpreter;

/// <summary>Decoded code of one frame in one mode. The structure itself lives as long as the engine; its blocks come and go.</summary>
/// <remarks>
/// Readers (any vCPU) go through <see cref="Chunks"/> without a lock; everything else changes under the code cache's gate. Blocks live in
/// <see cref="Segments"/>, which are given back only after every running vCPU has passed a block boundary.
/// </remarks>
internal unsafe struct CodePage
{
    /// <summary>Bytes of code per chunk: the grain in which data writes beside code are told apart from writes to code.</summary>
    public const int ChunkSize = 64;
    public const int ChunkCount = 64;

    public ulong Frame;
    public CodeMode Mode;

    /// <summary>The same frame decoded in another mode.</summary>
    public CodePage* OtherMode;

    /// <summary>Bit i: chunk i holds decoded code. Read without the gate by writers, after their write.</summary>
    public ulong Bitmap;
    public CodeBlock* Blocks;

    /// <summary>First word of each segment is the next segment's address.</summary>
    public byte* Segments;
    public byte* FreeStart;
    public int FreeBytes;

    /// <summary>Bytes of ops that were invalidated but not given back.</summary>
    public int DeadBytes;

    /// <summary>Writes since the last decode that touched no code.</summary>
    public int ColdWrites;

    /// <summary>At so many of them the page's code is dropped, so that the page's data become fast again.</summary>
    public int ColdWriteLimit;

    /// <summary>Per chunk, the address of its 64 entry points (<see cref="Op"/> addresses, 0 when not decoded).</summary>
    public fixed ulong Chunks[ChunkCount];

    /// <summary>The chunks that the bytes from <paramref name="start"/> up to <paramref name="end"/> lie in; at least the first one's.</summary>
    public static ulong ChunkMask(int start, int end)
    {
        int first = start / ChunkSize;
        int last = (Math.Max(end, start + 1) - 1) / ChunkSize;
        return (ulong.MaxValue << first) & (ulong.MaxValue >> (63 - last));
    }

    /// <summary>The decoded op at an offset, or null.</summary>
    public static Op* Find(CodePage* page, ulong linear) =>
        ((Op**)page->Chunks[(linear >> 6) & 63])[linear & 63];
}
