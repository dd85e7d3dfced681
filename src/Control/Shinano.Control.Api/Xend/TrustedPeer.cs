namespace Shinano.Control.Api.Xend;

/// <summary>A host whose domains are taken, and to which domains go.</summary>
/// <param name="Fingerprint">Of its key, as in <see cref="MigrationSettings.Fingerprint"/>.</param>
/// <param name="Name">For people; may be empty.</param>
public sealed record TrustedPeer(string Fingerprint, string Name);
