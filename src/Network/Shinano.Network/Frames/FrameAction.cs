namespace Shinano.Network.Frames;

/// <summary>Takes a frame, which is the caller's again afterwards.</summary>
public delegate void FrameAction(ReadOnlySpan<byte> frame);
