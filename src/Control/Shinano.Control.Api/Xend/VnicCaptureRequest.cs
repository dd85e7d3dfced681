namespace Shinano.Control.Api.Xend;

/// <summary>A capture to begin.</summary>
/// <param name="Path">A file that is not there yet, absolute.</param>
public sealed record VnicCaptureRequest(string Path);
