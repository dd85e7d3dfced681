using System.Buffers;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb.Encodings;

/// <summary>RFC 6143 §7.7.4: tiles of 16 by 16, each raw, or a background with rectangles on it.</summary>
internal sealed class HextileEncoder : RectangleEncoder
{
    private const int Side = 16;
    private const byte Raw = 1;
    private const byte BackgroundSpecified = 2;
    private const byte ForegroundSpecified = 4;
    private const byte AnySubrects = 8;
    private const byte SubrectsColoured = 16;
    private readonly TilePalette _palette = new();
    private readonly uint[] _tile = new uint[Side * Side];
    private readonly bool[] _covered = new bool[Side * Side];
    private readonly byte[] _body = new byte[Side * Side * 8];
    private uint? _background;
    private uint? _foreground;

    public override RfbEncoding Encoding => RfbEncoding.Hextile;

    public override void Encode(ReadOnlySpan<uint> pixels, int width, int height, PixelWriter writer, IBufferWriter<byte> output)
    {
        // What a tile takes over from the one before does not reach beyond the rectangle.
        _background = null;
        _foreground = null;
        for (int y = 0; y < height; y += Side)
        {
            for (int x = 0; x < width; x += Side)
            {
                int columns = Math.Min(Side, width - x);
                int rows = Math.Min(Side, height - y);
                for (int row = 0; row < rows; row++)
                {
                    pixels.Slice(((y + row) * width) + x, columns).CopyTo(_tile.AsSpan(row * columns));
                }

                EncodeTile(_tile.AsSpan(0, columns * rows), columns, writer, output);
            }
        }
    }

    private void EncodeTile(ReadOnlySpan<uint> tile, int columns, PixelWriter writer, IBufferWriter<byte> output)
    {
        _palette.Read(tile);
        int size = writer.Format.BytesPerPixel;
        int rawLength = tile.Length * size;
        uint background = _palette.Prevalent;
        bool coloured = _palette.Count > 2;
        int length = 0;
        int count = _palette.Count > TilePalette.Most ? -1 : Cover(tile, columns, background, coloured, writer, rawLength, out length);
        if (count < 0)
        {
            Span<byte> raw = output.GetSpan(1 + rawLength);
            raw[0] = Raw;
            int at = 1;
            foreach (uint pixel in tile)
            {
                at += writer.Write(raw[at..], pixel);
            }

            output.Advance(at);

            // RFC 6143 §7.7.4.1: neither colour is known after a raw tile.
            _background = null;
            _foreground = null;
            return;
        }

        Span<byte> span = output.GetSpan(2 + (2 * size) + length);
        int flags = 0;
        int end = 1;
        if (_background != background)
        {
            flags |= BackgroundSpecified;
            end += writer.Write(span[end..], background);
            _background = background;
        }

        if (count > 0)
        {
            flags |= AnySubrects;
            if (coloured)
            {
                flags |= SubrectsColoured;

                // Viewers differ in whether the foreground survives coloured subrectangles.
                _foreground = null;
            }
            else
            {
                uint foreground = _palette.Colours[0] == background ? _palette.Colours[1] : _palette.Colours[0];
                if (_foreground != foreground)
                {
                    flags |= ForegroundSpecified;
                    end += writer.Write(span[end..], foreground);
                    _foreground = foreground;
                }
            }

            span[end++] = (byte)count;
            _body.AsSpan(0, length).CopyTo(span[end..]);
            end += length;
        }

        span[0] = (byte)flags;
        output.Advance(end);
    }

    /// <summary>Covers what is not background with rectangles, widest first, then as high as they go.</summary>
    /// <returns>Their number; -1 when raw pixels are shorter.</returns>
    private int Cover(ReadOnlySpan<uint> tile, int columns, uint background, bool coloured, PixelWriter writer, int limit, out int length)
    {
        int rows = tile.Length / columns;
        Span<bool> covered = _covered.AsSpan(0, tile.Length);
        covered.Clear();
        length = 0;
        int count = 0;
        for (int i = 0; i < tile.Length; i++)
        {
            uint colour = tile[i];
            if (covered[i] || colour == background)
            {
                continue;
            }

            int x = i % columns;
            int y = i / columns;
            int right = x + 1;
            while (right < columns && tile[(y * columns) + right] == colour && !covered[(y * columns) + right])
            {
                right++;
            }

            int bottom = y + 1;
            while (bottom < rows && tile.Slice((bottom * columns) + x, right - x).IndexOfAnyExcept(colour) < 0)
            {
                bottom++;
            }

            for (int row = y; row < bottom; row++)
            {
                covered.Slice((row * columns) + x, right - x).Fill(true);
            }

            if (coloured)
            {
                length += writer.Write(_body.AsSpan(length), colour);
            }

            _body[length++] = (byte)((x << 4) | y);
            _body[length++] = (byte)(((right - x - 1) << 4) | (bottom - y - 1));
            if (++count > byte.MaxValue || length >= limit)
            {
                return -1;
            }
        }

        return count;
    }
}
