namespace Shinano.Control.Api.Xend;

/// <summary>How this host takes part in migrations over TLS.</summary>
public sealed record MigrationSettings
{
    /// <summary>The fingerprint of this host's key: "sha256:" and 64 hexadecimal digits, of its SubjectPublicKeyInfo.</summary>
    public required string Fingerprint { get; init; }

    /// <summary>ADDRESS:PORT where domains are taken; null when none are.</summary>
    public string? Listen { get; init; }

    public required IReadOnlyList<TrustedPeer> Trusted { get; init; }
}
