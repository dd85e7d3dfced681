namespace Shinano.XenAbi;

/// <summary>A machine frame number: a frame of the domain's own machine space, which page-table entries name.</summary>
public readonly record struct Mfn(ulong Value)
{
    /// <summary>Machine address of the frame's first byte.</summary>
    public ulong Address => Value << 12;

    public override string ToString() => $"mfn {Value:x}";
}
