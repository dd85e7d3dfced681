namespace Shinano.Cpu.Interpreter;

/// <summary>Bits of <see cref="Core.Attention"/>.</summary>
internal static class AttentionBits
{
    /// <summary>As <see cref="VirtualCpu.Kick"/> sets it.</summary>
    public const int Kicked = 1;

    /// <summary>The code cache wants write translations dropped or retired code acknowledged.</summary>
    public const int CodeCache = 2;

    /// <summary>Those for which running code must be left.</summary>
    public const int Wanted = Kicked | CodeCache;

    /// <summary>One instruction at a time: every way to a next block leaves the run loop.</summary>
    public const int Step = 4;

    /// <summary>Always set for a vCPU whose blocks another engine may have translated: every way to a next block leaves the run loop to look.</summary>
    public const int Tiered = 8;
}
