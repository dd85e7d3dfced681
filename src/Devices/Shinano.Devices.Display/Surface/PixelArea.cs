namespace Shinano.Devices.Display.Surface;

/// <summary>A rectangle of pixels; the origin is the upper left corner.</summary>
/// <param name="X">First column.</param>
/// <param name="Y">First row.</param>
/// <param name="Width">Columns.</param>
/// <param name="Height">Rows.</param>
public readonly record struct PixelArea(int X, int Y, int Width, int Height)
{
    /// <summary>Whether it has no pixels.</summary>
    public bool IsEmpty => Width <= 0 || Height <= 0;

    /// <summary>The part that lies inside a picture of the given size. Sums of hostile numbers do not overflow.</summary>
    public PixelArea ClipTo(int width, int height)
    {
        long left = Math.Clamp((long)X, 0, width);
        long top = Math.Clamp((long)Y, 0, height);
        long right = Math.Clamp((long)X + Math.Max(Width, 0), left, width);
        long bottom = Math.Clamp((long)Y + Math.Max(Height, 0), top, height);
        return new PixelArea((int)left, (int)top, (int)(right - left), (int)(bottom - top));
    }
}
