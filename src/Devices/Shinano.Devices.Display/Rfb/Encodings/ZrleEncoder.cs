using System.Buffers;
using System.IO.Compression;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb.Encodings;

/// <summary>
/// RFC 6143 §7.7.6: tiles of 64 by 64, each in the shortest of five forms, all rectangles of a connection through one zlib stream.
/// </summary>
internal sealed class ZrleEncoder : RectangleEncoder
{
    private const int Side = 64;
    private const int PlainRuns = 128;
    private const int MostPacked = 16;
    private readonly TilePalette _palette = new();
    private readonly uint[] _tile = new uint[Side * Side];
    private readonly byte[] _body = new byte[1 + (Side * Side * 5)];
    private readonly MemoryStream _compressed = new();
    private readonly ZLibStream _zlib;

    public ZrleEncoder() => _zlib = new ZLibStream(_compressed, CompressionLevel.Fastest, leaveOpen: true);

    public override RfbEncoding Encoding => RfbEncoding.Zrle;

    public override void Encode(ReadOnlySpan<uint> pixels, int width, int height, PixelWriter writer, IBufferWriter<byte> output)
    {
        _compressed.SetLength(0);
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

                _zlib.Write(_body, 0, EncodeTile(_tile.AsSpan(0, columns * rows), columns, writer));
            }
        }

        // A sync flush: the viewer can decompress all of the rectangle.
        _zlib.Flush();
        output.UInt32((uint)_compressed.Length);
        output.Write(_compressed.GetBuffer().AsSpan(0, (int)_compressed.Length));
    }

    public override void Dispose()
    {
        _zlib.Dispose();
        _compressed.Dispose();
    }

    private int EncodeTile(ReadOnlySpan<uint> tile, int columns, PixelWriter writer)
    {
        _palette.Read(tile);
        int count = _palette.Count;
        int size = writer.CompactBytes;
        if (count == 1)
        {
            _body[0] = 1;
            return 1 + writer.WriteCompact(_body.AsSpan(1), tile[0]);
        }

        // Lengths of the four other forms; runs longer than 255 take a byte more, which the estimate leaves out.
        int raw = tile.Length * size;
        int plain = _palette.Runs * (size + 1);
        int bits = count switch { 2 => 1, <= 4 => 2, _ => 4 };
        int packed = count <= MostPacked ? (count * size) + (((columns * bits) + 7) / 8 * (tile.Length / columns)) : int.MaxValue;
        int indexed = count <= TilePalette.Most ? (count * size) + (_palette.Runs * 2) : int.MaxValue;
        int best = Math.Min(Math.Min(raw, plain), Math.Min(packed, indexed));
        return best == packed ? WritePacked(tile, columns, bits, writer)
            : best == indexed ? WriteRuns(tile, indexed: true, writer)
            : best == plain ? WriteRuns(tile, indexed: false, writer)
            : WriteRaw(tile, writer);
    }

    private int WriteRaw(ReadOnlySpan<uint> tile, PixelWriter writer)
    {
        _body[0] = 0;
        int at = 1;
        foreach (uint pixel in tile)
        {
            at += writer.WriteCompact(_body.AsSpan(at), pixel);
        }

        return at;
    }

    private int WritePalette(PixelWriter writer)
    {
        int at = 1;
        foreach (uint colour in _palette.Colours)
        {
            at += writer.WriteCompact(_body.AsSpan(at), colour);
        }

        return at;
    }

    private int WritePacked(ReadOnlySpan<uint> tile, int columns, int bits, PixelWriter writer)
    {
        _body[0] = (byte)_palette.Count;
        int at = WritePalette(writer);
        for (int row = 0; row < tile.Length; row += columns)
        {
            int value = 0;
            int used = 0;
            foreach (uint pixel in tile.Slice(row, columns))
            {
                value = (value << bits) | _palette.IndexOf(pixel);
                used += bits;
                if (used == 8)
                {
                    _body[at++] = (byte)value;
                    value = 0;
                    used = 0;
                }
            }

            if (used > 0)
            {
                _body[at++] = (byte)(value << (8 - used));
            }
        }

        return at;
    }

    private int WriteRuns(ReadOnlySpan<uint> tile, bool indexed, PixelWriter writer)
    {
        _body[0] = (byte)(indexed ? PlainRuns + _palette.Count : PlainRuns);
        int at = indexed ? WritePalette(writer) : 1;
        for (int start = 0; start < tile.Length;)
        {
            uint colour = tile[start];
            int length = tile[start..].IndexOfAnyExcept(colour);
            length = length < 0 ? tile.Length - start : length;
            start += length;
            if (!indexed)
            {
                at += writer.WriteCompact(_body.AsSpan(at), colour);
            }
            else if (length == 1)
            {
                _body[at++] = (byte)_palette.IndexOf(colour);
                continue;
            }
            else
            {
                _body[at++] = (byte)(128 + _palette.IndexOf(colour));
            }

            int rest = length - 1;
            for (; rest >= 255; rest -= 255)
            {
                _body[at++] = 255;
            }

            _body[at++] = (byte)rest;
        }

        return at;
    }
}
