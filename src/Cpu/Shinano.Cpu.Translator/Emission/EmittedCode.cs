namespace Shinano.Cpu.Translator;

/// <summary>What the emission of a block leaves to be done when its code has a place.</summary>
internal sealed class EmittedCode
{
    public HostAssembler Assembler { get; } = new();

    /// <summary>Direct jumps out of the block.</summary>
    public List<LinkSite> Links { get; } = [];

    /// <summary>Label behind the look at the vCPU's attention and the loading of vector registers.</summary>
    public int Body { get; set; }

    public VectorUse Vectors { get; set; }

    public void Clear()
    {
        Assembler.Clear();
        Links.Clear();
    }

    /// <summary>A direct jump out of the block.</summary>
    /// <param name="Number">The link's number, which its stub reports.</param>
    /// <param name="Field">Label of the field to patch.</param>
    /// <param name="Stub">Label of where it leads while it is not linked.</param>
    /// <param name="Target">Linear address of the target.</param>
    /// <param name="Mapping">Number of the page mapping that must hold, or -1 for a target in the block's own page.</param>
    /// <param name="IsForward">The target follows in the same page.</param>
    internal readonly record struct LinkSite(int Number, int Field, int Stub, ulong Target, int Mapping, bool IsForward);
}
