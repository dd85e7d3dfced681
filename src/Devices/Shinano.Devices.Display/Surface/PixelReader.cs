using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Shinano.Devices.Display.Surface;

/// <summary>Turns pixels of a format into 0x00RRGGBB.</summary>
public sealed class PixelReader
{
    private readonly PixelFormat _format;
    private readonly bool _isPlain;

    /// <param name="format">Of what is read; without fault.</param>
    public PixelReader(PixelFormat format)
    {
        if (format.FindFault() is { } fault)
        {
            throw new ArgumentException(fault, nameof(format));
        }

        _format = format;
        _isPlain = BitConverter.IsLittleEndian && format with { Depth = 24 } == PixelFormat.Rgb32;
    }

    /// <summary>Reads as many pixels as there is room for.</summary>
    public void Read(ReadOnlySpan<byte> source, Span<uint> destination)
    {
        if (_isPlain)
        {
            MemoryMarshal.Cast<byte, uint>(source)[..destination.Length].CopyTo(destination);
            foreach (ref uint pixel in destination)
            {
                pixel &= 0xffffff;
            }

            return;
        }

        int size = _format.BytesPerPixel;
        for (int i = 0; i < destination.Length; i++)
        {
            uint value = Load(source.Slice(i * size, size));
            destination[i] = (Scale(value >> _format.RedShift, _format.RedMax) << 16)
                | (Scale(value >> _format.GreenShift, _format.GreenMax) << 8)
                | Scale(value >> _format.BlueShift, _format.BlueMax);
        }
    }

    private static uint Scale(uint value, int maximum) => (uint)((((ulong)(value & (uint)maximum) * 255) + (uint)(maximum / 2)) / (uint)maximum);

    private uint Load(ReadOnlySpan<byte> pixel) => (pixel.Length, _format.IsBigEndian) switch
    {
        (1, _) => pixel[0],
        (2, false) => BinaryPrimitives.ReadUInt16LittleEndian(pixel),
        (2, true) => BinaryPrimitives.ReadUInt16BigEndian(pixel),
        (_, false) => BinaryPrimitives.ReadUInt32LittleEndian(pixel),
        (_, true) => BinaryPrimitives.ReadUInt32BigEndian(pixel),
    };
}
