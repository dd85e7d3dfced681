namespace Shinano.Cpu.Translator;

/// <summary>A direct jump of translated code to another block.</summary>
internal sealed class Link
{
    /// <summary>Linear address of the target.</summary>
    public required ulong Target { get; init; }

    public required TranslationMode Mode { get; init; }

    /// <summary>The frame of the block that it is in.</summary>
    public required ulong SourceFrame { get; init; }

    /// <summary>Number of the page mapping that the code checks before the jump; -1 for a target in the same page, 0 for none that could hold.</summary>
    public required int Mapping { get; init; }

    /// <summary>It leads forwards within a page, so that the target need not look whether attention is wanted.</summary>
    public required bool IsForward { get; init; }

    /// <summary>What the block that it is in made sure of.</summary>
    public required VectorUse Vectors { get; init; }

    /// <summary>Offset in the region of the field to patch.</summary>
    public required int Field { get; init; }

    /// <summary>Offset in the region of the stub that leaves to the dispatcher.</summary>
    public required int Stub { get; init; }

    /// <summary>Region that both are in.</summary>
    public required CodeRegion Region { get; init; }

    /// <summary>The block that the field leads to, null while it leads to the stub. Changed under the code cache's gate, read without.</summary>
    public TranslatedBlock? Block { get; set; }
}
