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

    public int Readers { get; set; }

    public int Writers { get; set; }
}
