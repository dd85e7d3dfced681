using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace Shinano.Rfb;

/// <summary>A viewer for tests, written from RFC 6143 and not from the server: it keeps the picture as pixels of its own format.</summary>
internal sealed class RfbViewer(Stream stream) : IDisposable
{
    private readonly MemoryStream _compressed = new();
    private ZLibStream? _zlib;
    private int _bytes = 4;
    private bool _bigEndian;
    private int _compact = 3;

    public int Width { get; private set; }

    public int Height { get; private set; }

    public string Name { get; private set; } = "";

    /// <summary>The pixels' numbers, row by row.</summary>
    public uint[] Pixels { get; private set; } = [];

    /// <summary>Encodings of the rectangles that came.</summary>
    public List<int> Encodings { get; } = [];

    /// <summary>Shakes hands without a password, or with one that <paramref name="answer"/> knows.</summary>
    /// <returns>The reason of a refusal; null when the viewer is in.</returns>
    public async Task<string?> ConnectAsync(string version, Func<byte[], byte[]>? answer, CancellationToken cancellation)
    {
        Assert.Equal("RFB 003.008\n", Encoding.ASCII.GetString(await ReadAsync(12, cancellation)));
        await SendAsync(Encoding.ASCII.GetBytes($"RFB {version}\n"), cancellation);
        byte type;
        if (version == "003.003")
        {
            type = (byte)BinaryPrimitives.ReadUInt32BigEndian(await ReadAsync(4, cancellation));
        }
        else
        {
            byte count = (await ReadAsync(1, cancellation))[0];
            type = count == 0 ? (byte)0 : (await ReadAsync(count, cancellation))[0];
        }

        if (type == 0)
        {
            return await ReadTextAsync(cancellation);
        }

        if (version != "003.003")
        {
            await SendAsync([type], cancellation);
        }

        if (type == 2)
        {
            await SendAsync(answer!(await ReadAsync(16, cancellation)), cancellation);
        }

        if ((type == 2 || version == "003.008") && BinaryPrimitives.ReadUInt32BigEndian(await ReadAsync(4, cancellation)) != 0)
        {
            return version == "003.008" ? await ReadTextAsync(cancellation) : "refused";
        }

        await SendAsync([1], cancellation);
        byte[] init = await ReadAsync(20, cancellation);
        Name = await ReadTextAsync(cancellation);
        Resize(Word(init, 0), Word(init, 2));
        return null;
    }

    /// <summary>Asks for a format; the picture is black of it.</summary>
    public Task SetFormatAsync(int bits, int depth, bool bigEndian, (int Max, int Shift) red, (int Max, int Shift) green, (int Max, int Shift) blue, CancellationToken cancellation)
    {
        _bytes = bits / 8;
        _bigEndian = bigEndian;
        uint mask = ((uint)red.Max << red.Shift) | ((uint)green.Max << green.Shift) | ((uint)blue.Max << blue.Shift);
        _compact = bits == 32 && depth <= 24 && ((mask & 0xff000000) == 0 || (mask & 0xff) == 0) ? 3 : _bytes;
        CompactIsHigh = _compact == 3 && (mask & 0xff000000) != 0;
        byte[] message = new byte[20];
        message[4] = (byte)bits;
        message[5] = (byte)depth;
        message[6] = bigEndian ? (byte)1 : (byte)0;
        message[7] = 1;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(8), (ushort)red.Max);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(10), (ushort)green.Max);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(12), (ushort)blue.Max);
        message[14] = (byte)red.Shift;
        message[15] = (byte)green.Shift;
        message[16] = (byte)blue.Shift;
        return SendAsync(message, cancellation);
    }

    private bool CompactIsHigh { get; set; }

    public Task SetEncodingsAsync(CancellationToken cancellation, params int[] encodings)
    {
        byte[] message = new byte[4 + (4 * encodings.Length)];
        message[0] = 2;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), (ushort)encodings.Length);
        for (int i = 0; i < encodings.Length; i++)
        {
            BinaryPrimitives.WriteInt32BigEndian(message.AsSpan(4 + (4 * i)), encodings[i]);
        }

        return SendAsync(message, cancellation);
    }

    public Task RequestAsync(bool incremental, CancellationToken cancellation)
    {
        byte[] message = new byte[10];
        message[0] = 3;
        message[1] = incremental ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(6), (ushort)Width);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(8), (ushort)Height);
        return SendAsync(message, cancellation);
    }

    public Task KeyAsync(uint symbol, bool down, CancellationToken cancellation)
    {
        byte[] message = new byte[8];
        message[0] = 4;
        message[1] = down ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt32BigEndian(message.AsSpan(4), symbol);
        return SendAsync(message, cancellation);
    }

    /// <summary>Types a text: symbols that a keyboard needs shift for come without it.</summary>
    public async Task TypeAsync(string text, CancellationToken cancellation)
    {
        foreach (char c in text)
        {
            uint symbol = c == '\n' ? 0xff0du : c;
            await KeyAsync(symbol, true, cancellation);
            await KeyAsync(symbol, false, cancellation);
        }
    }

    public Task PointerAsync(int x, int y, int buttons, CancellationToken cancellation)
    {
        byte[] message = new byte[6];
        message[0] = 5;
        message[1] = (byte)buttons;
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(2), (ushort)x);
        BinaryPrimitives.WriteUInt16BigEndian(message.AsSpan(4), (ushort)y);
        return SendAsync(message, cancellation);
    }

    /// <summary>Reads one update into the picture.</summary>
    public async Task ReadUpdateAsync(CancellationToken cancellation)
    {
        byte[] head = await ReadAsync(4, cancellation);
        Assert.Equal(0, head[0]);
        for (int i = Word(head, 2); i > 0; i--)
        {
            byte[] rectangle = await ReadAsync(12, cancellation);
            (int x, int y, int width, int height) = (Word(rectangle, 0), Word(rectangle, 2), Word(rectangle, 4), Word(rectangle, 6));
            int encoding = BinaryPrimitives.ReadInt32BigEndian(rectangle.AsSpan(8));
            Encodings.Add(encoding);
            switch (encoding)
            {
                case 0:
                    byte[] raw = await ReadAsync(width * height * _bytes, cancellation);
                    Put(x, y, width, height, (column, row) => Pixel(raw.AsSpan(((row * width) + column) * _bytes)));
                    break;
                case 5:
                    await ReadHextileAsync(x, y, width, height, cancellation);
                    break;
                case 16:
                    await ReadZrleAsync(x, y, width, height, cancellation);
                    break;
                case -223:
                    Resize(width, height);
                    break;
                case -308:
                    byte[] screens = await ReadAsync(4, cancellation);
                    await ReadAsync(16 * screens[0], cancellation);
                    Resize(width, height);
                    break;
                case -258:
                    break;
                default:
                    Assert.Fail($"encoding {encoding}");
                    break;
            }
        }
    }

    public async Task SendAsync(byte[] bytes, CancellationToken cancellation)
    {
        await stream.WriteAsync(bytes, cancellation);
        await stream.FlushAsync(cancellation);
    }

    public void Dispose()
    {
        _zlib?.Dispose();
        stream.Dispose();
    }

    private async Task ReadHextileAsync(int left, int top, int width, int height, CancellationToken cancellation)
    {
        uint background = 0;
        uint foreground = 0;
        for (int y = 0; y < height; y += 16)
        {
            for (int x = 0; x < width; x += 16)
            {
                int columns = Math.Min(16, width - x);
                int rows = Math.Min(16, height - y);
                int flags = (await ReadAsync(1, cancellation))[0];
                if ((flags & 1) != 0)
                {
                    byte[] raw = await ReadAsync(columns * rows * _bytes, cancellation);
                    Put(left + x, top + y, columns, rows, (column, row) => Pixel(raw.AsSpan(((row * columns) + column) * _bytes)));
                    continue;
                }

                background = (flags & 2) != 0 ? Pixel(await ReadAsync(_bytes, cancellation)) : background;
                foreground = (flags & 4) != 0 ? Pixel(await ReadAsync(_bytes, cancellation)) : foreground;
                uint colour = background;
                Put(left + x, top + y, columns, rows, (_, _) => colour);
                int count = (flags & 8) != 0 ? (await ReadAsync(1, cancellation))[0] : 0;
                for (int i = 0; i < count; i++)
                {
                    colour = (flags & 16) != 0 ? Pixel(await ReadAsync(_bytes, cancellation)) : foreground;
                    byte[] place = await ReadAsync(2, cancellation);
                    uint own = colour;
                    Assert.True((place[0] >> 4) + (place[1] >> 4) < columns && (place[0] & 15) + (place[1] & 15) < rows, "a subrectangle leaves its tile");
                    Put(left + x + (place[0] >> 4), top + y + (place[0] & 15), (place[1] >> 4) + 1, (place[1] & 15) + 1, (_, _) => own);
                }
            }
        }
    }

    private async Task ReadZrleAsync(int left, int top, int width, int height, CancellationToken cancellation)
    {
        int length = (int)BinaryPrimitives.ReadUInt32BigEndian(await ReadAsync(4, cancellation));
        byte[] bytes = await ReadAsync(length, cancellation);
        _compressed.SetLength(0);
        _compressed.Write(bytes);
        _compressed.Position = 0;
        _zlib ??= new ZLibStream(_compressed, CompressionMode.Decompress, leaveOpen: true);
        for (int y = 0; y < height; y += 64)
        {
            for (int x = 0; x < width; x += 64)
            {
                int columns = Math.Min(64, width - x);
                int rows = Math.Min(64, height - y);
                uint[] tile = ReadTile(columns, rows);
                Put(left + x, top + y, columns, rows, (column, row) => tile[(row * columns) + column]);
            }
        }
    }

    private uint[] ReadTile(int columns, int rows)
    {
        uint[] tile = new uint[columns * rows];
        int kind = Byte();
        int colours = kind is 0 or 128 ? 0 : kind & 127;
        Assert.False(kind is > 16 and < 128 or 129, $"ZRLE has no tile of kind {kind}");
        uint[] palette = new uint[colours];
        for (int i = 0; i < colours; i++)
        {
            palette[i] = Compact();
        }

        if (kind == 1)
        {
            tile.AsSpan().Fill(palette[0]);
        }
        else if (kind == 0)
        {
            for (int i = 0; i < tile.Length; i++)
            {
                tile[i] = Compact();
            }
        }
        else if (kind <= 16)
        {
            int bits = kind == 2 ? 1 : kind <= 4 ? 2 : 4;
            for (int row = 0; row < rows; row++)
            {
                int value = 0;
                int left = 0;
                for (int column = 0; column < columns; column++)
                {
                    if (left == 0)
                    {
                        value = Byte();
                        left = 8;
                    }

                    left -= bits;
                    tile[(row * columns) + column] = palette[(value >> left) & ((1 << bits) - 1)];
                }
            }
        }
        else
        {
            for (int at = 0; at < tile.Length;)
            {
                int index = kind == 128 ? 128 : Byte();
                uint colour = kind == 128 ? Compact() : palette[index & 127];
                int run = 1;
                if ((index & 128) != 0)
                {
                    int more;
                    do
                    {
                        more = Byte();
                        run += more;
                    }
                    while (more == 255);
                }

                tile.AsSpan(at, run).Fill(colour);
                at += run;
            }
        }

        return tile;
    }

    private int Byte()
    {
        int value = _zlib!.ReadByte();
        Assert.True(value >= 0, "a ZRLE rectangle ends early");
        return value;
    }

    private uint Compact()
    {
        Span<byte> bytes = stackalloc byte[4];
        bytes.Clear();
        int first = _compact < 3 || _compact == 4 ? 0 : CompactIsHigh != _bigEndian ? 1 : 0;
        for (int i = 0; i < _compact; i++)
        {
            bytes[first + i] = (byte)Byte();
        }

        return Pixel(bytes);
    }

    private uint Pixel(ReadOnlySpan<byte> bytes) => (_bytes, _bigEndian) switch
    {
        (1, _) => bytes[0],
        (2, true) => BinaryPrimitives.ReadUInt16BigEndian(bytes),
        (2, false) => BinaryPrimitives.ReadUInt16LittleEndian(bytes),
        (_, true) => BinaryPrimitives.ReadUInt32BigEndian(bytes),
        _ => BinaryPrimitives.ReadUInt32LittleEndian(bytes),
    };

    private void Put(int x, int y, int width, int height, Func<int, int, uint> pixel)
    {
        for (int row = 0; row < height; row++)
        {
            for (int column = 0; column < width; column++)
            {
                Pixels[((y + row) * Width) + x + column] = pixel(column, row);
            }
        }
    }

    private void Resize(int width, int height)
    {
        if (width != Width || height != Height)
        {
            Width = width;
            Height = height;
            Pixels = new uint[width * height];
        }
    }

    private async Task<string> ReadTextAsync(CancellationToken cancellation) =>
        Encoding.UTF8.GetString(await ReadAsync((int)BinaryPrimitives.ReadUInt32BigEndian(await ReadAsync(4, cancellation)), cancellation));

    private async Task<byte[]> ReadAsync(int count, CancellationToken cancellation)
    {
        byte[] bytes = new byte[count];
        await stream.ReadExactlyAsync(bytes, cancellation);
        return bytes;
    }

    private static int Word(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(offset));
}
