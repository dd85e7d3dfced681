namespace Shinano.Control.Api.Xend;

/// <summary>A new limit for a vnic.</summary>
/// <param name="BytesPerSecond">Bytes that its guest may send in a second; null: as many as it can.</param>
public sealed record VnicLimitRequest(long? BytesPerSecond);
