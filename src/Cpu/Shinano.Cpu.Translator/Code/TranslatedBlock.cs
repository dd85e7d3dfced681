namespace Shinano.Cpu.Translator;

/// <summary>A translation, or the knowledge that there is none. Changed under the code cache's gate.</summary>
internal sealed class TranslatedBlock
{
    public required ulong Rip { get; init; }

    /// <summary>The frame that its bytes are in.</summary>
    public required ulong Frame { get; init; }

    public required TranslationMode Mode { get; init; }

    /// <summary>Address of the code; 0 when the first instruction is the interpreter's.</summary>
    public nint Code { get; set; }

    /// <summary>Address of the code behind the look at the vCPU's attention and the loading of vector registers.</summary>
    public nint Body { get; set; }

    public VectorUse Vectors { get; set; }

    /// <summary>The 64-byte chunks of the frame that it was made from.</summary>
    public ulong Chunks { get; set; }

    /// <summary>The frame that its last instruction reaches into, at its start; 0 for none.</summary>
    public ulong NextFrame { get; set; }

    /// <summary>Linear address behind its last instruction.</summary>
    public required ulong EndRip { get; init; }

    /// <summary>The instruction at <see cref="EndRip"/> is the interpreter's.</summary>
    public required bool EndsForeign { get; init; }

    /// <summary>Dropped: must not be entered or linked to any more.</summary>
    public bool IsDropped { get; set; }

    /// <summary>The chunks of a frame that it was made from.</summary>
    public ulong ChunksOf(ulong frame) => (frame == Frame ? Chunks : 0) | (frame == NextFrame ? 1UL : 0);

    /// <summary>Where a link may lead.</summary>
    public nint EntryFor(Link link) => link.IsForward && Vectors <= link.Vectors ? Body : Code;

    /// <summary>Links that were patched to lead here.</summary>
    public List<Link> Incoming { get; } = [];
}
