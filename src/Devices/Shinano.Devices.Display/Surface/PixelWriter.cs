using System.Buffers.Binary;

namespace Shinano.Devices.Display.Surface;

/// <summary>Turns 0x00RRGGBB into pixels of a format.</summary>
public sealed class PixelWriter
{
    private readonly uint[] _red;
    private readonly uint[] _green;
    private readonly uint[] _blue;
    private readonly int _compactOffset;

    /// <param name="format">Of what is written; without fault.</param>
    public PixelWriter(PixelFormat format)
    {
        if (format.FindFault() is { } fault)
        {
            throw new ArgumentException(fault, nameof(format));
        }

        Format = format;
        _red = TableOf(format.RedMax, format.RedShift);
        _green = TableOf(format.GreenMax, format.GreenShift);
        _blue = TableOf(format.BlueMax, format.BlueShift);

        // RFC 6143 §7.7.5: a CPIXEL of 3 bytes when depth is at most 24 and all colours lie in the number's upper or lower three bytes.
        uint bits = _red[255] | _green[255] | _blue[255];
        bool low = (bits & 0xff000000) == 0;
        bool high = (bits & 0xff) == 0;
        IsCompact = format.BitsPerPixel == 32 && format.Depth <= 24 && (low || high);
        _compactOffset = !IsCompact || (low != format.IsBigEndian) ? 0 : 1;
    }

    /// <summary>The format that is written.</summary>
    public PixelFormat Format { get; }

    /// <summary>Whether a CPIXEL has three bytes.</summary>
    public bool IsCompact { get; }

    /// <summary>Bytes of a CPIXEL.</summary>
    public int CompactBytes => IsCompact ? 3 : Format.BytesPerPixel;

    /// <summary>The pixel's number in the format.</summary>
    public uint ValueOf(uint rgb) => _red[(rgb >> 16) & 0xff] | _green[(rgb >> 8) & 0xff] | _blue[rgb & 0xff];

    /// <summary>Writes one pixel.</summary>
    /// <returns>Bytes written.</returns>
    public int Write(Span<byte> destination, uint rgb)
    {
        Store(destination[..Format.BytesPerPixel], ValueOf(rgb), Format.IsBigEndian);
        return Format.BytesPerPixel;
    }

    /// <summary>Writes one CPIXEL (RFC 6143 §7.7.5).</summary>
    /// <returns>Bytes written.</returns>
    public int WriteCompact(Span<byte> destination, uint rgb)
    {
        if (!IsCompact)
        {
            return Write(destination, rgb);
        }

        Span<byte> whole = stackalloc byte[4];
        Store(whole, ValueOf(rgb), Format.IsBigEndian);
        whole.Slice(_compactOffset, 3).CopyTo(destination);
        return 3;
    }

    internal static void Store(Span<byte> pixel, uint value, bool bigEndian)
    {
        switch (pixel.Length)
        {
            case 1:
                pixel[0] = (byte)value;
                break;
            case 2 when bigEndian:
                BinaryPrimitives.WriteUInt16BigEndian(pixel, (ushort)value);
                break;
            case 2:
                BinaryPrimitives.WriteUInt16LittleEndian(pixel, (ushort)value);
                break;
            default:
                if (bigEndian)
                {
                    BinaryPrimitives.WriteUInt32BigEndian(pixel, value);
                }
                else
                {
                    BinaryPrimitives.WriteUInt32LittleEndian(pixel, value);
                }

                break;
        }
    }

    private static uint[] TableOf(int maximum, int shift)
    {
        uint[] table = new uint[256];
        for (int i = 0; i < table.Length; i++)
        {
            table[i] = (uint)((((long)i * maximum) + 127) / 255) << shift;
        }

        return table;
    }
}
