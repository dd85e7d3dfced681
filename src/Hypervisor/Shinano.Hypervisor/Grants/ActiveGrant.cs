namespace Shinano.Hypervisor.Grants;

/// <summary>A grant that is in use. Guarded by the lock of <see cref="GrantTable"/>.</summary>
internal sealed class ActiveGrant
{
    /// <summary>Who uses it; one domain at a time.</summary>
    public required ushort User { get; init; }

    /// <summary>Machine frame, which is held while the grant is in use, whatever the entry says meanwhile.</summary>
    public required ulong Frame { get; init; }

    /// <summary>First byte of the frame that may be used.</summary>
    public required int Start { get; init; }

    public required int Length { get; init; }

    public required bool IsSubPage { get; init; }

    /// <summary>
    /// Of a restored domain: a back end had it when the domain was saved, and its successor has not taken it over yet. The frame is held for reading, and for writing
    /// if <see cref="IsHeldForWriting"/>.
    /// </summary>
    public bool IsInherited { get; set; }

    /// <summary>Of an inherited grant: the use was for writing too.</summary>
    public bool IsHeldForWriting { get; init; }

    public int Readers { get; set; }

    public int Writers { get; set; }
}
