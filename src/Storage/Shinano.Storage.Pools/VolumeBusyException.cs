namespace Shinano.Storage.Pools;

/// <summary>Somebody has a volume open, and what was asked needs it for itself.</summary>
/// <param name="message">Worded as zfs(8) words it.</param>
/// <param name="holder">Who has it, in words, as far as the kernel tells.</param>
public sealed class VolumeBusyException(string message, string holder) : VolumeException(message)
{
    /// <summary>Who has it: "domain 3 (process 123)", say.</summary>
    public string Holder { get; } = holder;

    /// <summary>A domain has it: xend can ask that one.</summary>
    public bool IsHeldByDomain => IsDomain(Holder);

    /// <summary>Whether a holder in words is a domain.</summary>
    public static bool IsDomain(string? holder) => holder?.StartsWith("domain ", StringComparison.Ordinal) ?? false;
}
