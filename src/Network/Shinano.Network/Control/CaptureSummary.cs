namespace Shinano.Network.Control;

/// <summary>What a capture holds.</summary>
/// <param name="Path">The file.</param>
/// <param name="Frames">Frames in it.</param>
/// <param name="Missed">Frames that are not, because the disk was too slow or the file full.</param>
public sealed record CaptureSummary(string Path, long Frames, long Missed);
