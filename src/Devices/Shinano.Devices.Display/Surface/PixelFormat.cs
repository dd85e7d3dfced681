namespace Shinano.Devices.Display.Surface;

/// <summary>
/// How a true-colour pixel lies in memory or on the wire: red, green and blue from 0 to a maximum, shifted into a number of 8, 16 or 32 bits. Source: RFC 6143 §7.4.
/// </summary>
/// <param name="BitsPerPixel">8, 16 or 32.</param>
/// <param name="Depth">Bits that mean something.</param>
/// <param name="IsBigEndian">The number's most significant byte comes first.</param>
/// <param name="RedMax">2^N - 1; likewise the others.</param>
/// <param name="RedShift">Bits to shift right to get red; likewise the others.</param>
public readonly record struct PixelFormat(
    int BitsPerPixel, int Depth, bool IsBigEndian, int RedMax, int GreenMax, int BlueMax, int RedShift, int GreenShift, int BlueShift)
{
    /// <summary>Bytes of one pixel.</summary>
    public int BytesPerPixel => BitsPerPixel / 8;

    /// <summary>32 bits, little-endian, 0x00RRGGBB: what most framebuffers and viewers use.</summary>
    public static PixelFormat Rgb32 { get; } = new(32, 24, false, 255, 255, 255, 16, 8, 0);

    /// <summary>16 bits, little-endian, 5 of red, 6 of green, 5 of blue.</summary>
    public static PixelFormat Rgb565 { get; } = new(16, 16, false, 31, 63, 31, 11, 5, 0);

    /// <summary>8 bits, 3 of red, 3 of green, 2 of blue: fbdev's true colour at 8 bits.</summary>
    public static PixelFormat Rgb332 { get; } = new(8, 8, false, 7, 7, 3, 5, 2, 0);

    /// <summary>Says why it is no format of ours; null when it is one.</summary>
    public string? FindFault()
    {
        if (BitsPerPixel is not (8 or 16 or 32))
        {
            return $"{BitsPerPixel} bits per pixel are not 8, 16 or 32";
        }

        return FaultOf("red", RedMax, RedShift) ?? FaultOf("green", GreenMax, GreenShift) ?? FaultOf("blue", BlueMax, BlueShift);
    }

    private string? FaultOf(string colour, int maximum, int shift)
    {
        if (maximum is <= 0 or > ushort.MaxValue || (maximum & (maximum + 1)) != 0)
        {
            return $"the maximum of {colour}, {maximum}, is not 2^N - 1";
        }

        return shift < 0 || shift + int.Log2(maximum + 1) > BitsPerPixel ? $"{colour} does not fit into the pixel's {BitsPerPixel} bits" : null;
    }
}
