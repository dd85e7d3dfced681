namespace Shinano.Devices.Display.Surface;

/// <summary>Geometry of a picture in memory. A change makes a new object, by which readers notice it.</summary>
/// <param name="Width">Pixels, 1 to <see cref="MaximumSide"/>.</param>
/// <param name="Height">Pixels, 1 to <see cref="MaximumSide"/>.</param>
/// <param name="Stride">Bytes from one row to the next.</param>
/// <param name="Format">How a pixel lies in memory.</param>
public sealed record SurfaceMode(int Width, int Height, int Stride, PixelFormat Format)
{
    /// <summary>The longest side that is shown.</summary>
    public const int MaximumSide = 8192;

    /// <summary>What viewers see before there is a picture: black.</summary>
    public static SurfaceMode Blank { get; } = new(640, 400, 640 * 4, PixelFormat.Rgb32);
}
