namespace Shinano.Control.Api.Xend;

/// <summary>Make a volume that a domain has open independent of the layers below it.</summary>
/// <param name="Volume">POOL/VOLUME.</param>
public sealed record FlattenRequest(string Volume);
