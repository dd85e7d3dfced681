using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>One FramebufferUpdate that is to be written: what was decided under the lock.</summary>
internal sealed record PendingUpdate
{
    /// <summary>Size that the viewer has, or gets by this update.</summary>
    public required int Width { get; init; }

    public required int Height { get; init; }

    public bool SendsSize { get; init; }

    public bool SendsScreens { get; init; }

    public ushort SizeReason { get; init; }

    public ushort SizeStatus { get; init; }

    public bool SendsExtendedKeys { get; init; }

    public required RfbEncoding Encoding { get; init; }

    public required PixelWriter Writer { get; init; }

    /// <summary>Inside the viewer's picture; they do not overlap.</summary>
    public required IReadOnlyList<PixelArea> Areas { get; init; }
}
