namespace Shinano.XenAbi;

/// <summary>A page frame number in a guest's own numbering (pseudo-physical frame).</summary>
public readonly record struct Pfn(ulong Value)
{
    public override string ToString() => $"pfn {Value:x}";
}
