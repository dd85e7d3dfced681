using System.Buffers.Binary;
using System.Diagnostics;
using System.IO.Compression;
using System.Net;
using System.Net.Sockets;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Tests;

/// <summary>Debian's own viewers look at a surface.</summary>
public sealed class RealViewerTests
{
    private const int FirstPort = 5900;

    [Fact]
    public async Task Gvnccapture_saves_the_picture_that_is_there()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/gvnccapture"), "gvnccapture is not installed (package gvncviewer)");
        string file = Path.Combine(Path.GetTempPath(), $"capture{Guid.NewGuid():N}.png");
        try
        {
            await CaptureAsync("/usr/bin/gvnccapture", ["-q", "", file], 1);
            (int width, int height, int size, byte[] pixels) = ReadPng(await File.ReadAllBytesAsync(file, Rig.Token));
            Assert.Equal((320, 200), (width, height));
            for (int i = 0; i < width * height; i++)
            {
                Assert.Equal(Picture(i % width, i / width), (uint)((pixels[size * i] << 16) | (pixels[(size * i) + 1] << 8) | pixels[(size * i) + 2]));
            }
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("raw")]
    [InlineData("hextile")]
    public async Task Vncsnapshot_takes_a_picture_with_each_encoding(string encoding)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/vncsnapshot"), "vncsnapshot is not installed");
        string file = Path.Combine(Path.GetTempPath(), $"snapshot{Guid.NewGuid():N}.jpg");
        try
        {
            await CaptureAsync("/usr/bin/vncsnapshot", ["-encodings", encoding, "-quiet", "", file], 3);

            // A JPEG of these 320 by 200 pixels; exact pixels are gvnccapture's part.
            byte[] jpeg = await File.ReadAllBytesAsync(file, Rig.Token);
            Assert.Equal([0xff, 0xd8], jpeg[..2]);
            Assert.InRange(jpeg.Length, 5000, 1 << 20);
        }
        finally
        {
            File.Delete(file);
        }
    }

    private static uint Picture(int x, int y) => (uint)(((x * 3) & 0xff) << 16 | ((y * 5) & 0xff) << 8 | ((x ^ y) & 0xff));

    /// <summary>Serves one picture on a TCP port, and runs a viewer on it.</summary>
    private static async Task CaptureAsync(string program, string[] arguments, int place)
    {
        await using Rig rig = new(new SurfaceMode(320, 200, 1280, PixelFormat.Rgb32));
        rig.Surface.Draw(new PixelArea(0, 0, 320, 200), Picture);
        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        int display = 100;
        for (; ; display++)
        {
            try
            {
                listener.Bind(new IPEndPoint(IPAddress.Loopback, FirstPort + display));
                break;
            }
            catch (SocketException) when (display < 1000)
            {
                // Another test, or a person, has it.
            }
        }

        listener.Listen();
        arguments[place] = $"127.0.0.1:{display}";
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardInput = true })!;
        process.StandardInput.Close();
        Task serving = rig.Server.ServeAsync(new NetworkStream(await listener.AcceptAsync(Rig.Token), ownsSocket: true), Rig.Token);
        string errors = await process.StandardError.ReadToEndAsync(Rig.Token);
        await process.WaitForExitAsync(Rig.Token);
        Assert.True(process.ExitCode == 0, errors);
        await serving;
    }

    /// <summary>A PNG of 8-bit RGB, or RGBA, without interlacing, as gdk-pixbuf writes it.</summary>
    private static (int Width, int Height, int Size, byte[] Pixels) ReadPng(byte[] png)
    {
        using MemoryStream data = new();
        int width = 0;
        int height = 0;
        int size = 0;
        for (int at = 8; at < png.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(png.AsSpan(at));
            ReadOnlySpan<byte> body = png.AsSpan(at + 8, length);
            if (png.AsSpan(at + 4, 4).SequenceEqual("IHDR"u8))
            {
                width = BinaryPrimitives.ReadInt32BigEndian(body);
                height = BinaryPrimitives.ReadInt32BigEndian(body[4..]);
                size = body[9] == 6 ? 4 : 3;
                Assert.Equal([8, size == 4 ? (byte)6 : (byte)2, 0, 0, 0], body[8..].ToArray());
            }
            else if (png.AsSpan(at + 4, 4).SequenceEqual("IDAT"u8))
            {
                data.Write(body);
            }

            at += length + 12;
        }

        data.Position = 0;
        using ZLibStream zlib = new(data, CompressionMode.Decompress);
        byte[] pixels = new byte[width * height * size];
        byte[] above = new byte[width * size];
        for (int row = 0; row < height; row++)
        {
            int filter = zlib.ReadByte();
            Span<byte> line = pixels.AsSpan(row * width * size, width * size);
            zlib.ReadExactly(line);
            for (int i = 0; i < line.Length; i++)
            {
                int left = i >= size ? line[i - size] : 0;
                int up = above[i];
                int corner = i >= size ? above[i - size] : 0;
                line[i] += (byte)(filter switch { 1 => left, 2 => up, 3 => (left + up) / 2, 4 => Paeth(left, up, corner), _ => 0 });
            }

            line.CopyTo(above);
        }

        return (width, height, size, pixels);
    }

    private static int Paeth(int left, int up, int corner)
    {
        int estimate = left + up - corner;
        (int a, int b, int c) = (Math.Abs(estimate - left), Math.Abs(estimate - up), Math.Abs(estimate - corner));
        return a <= b && a <= c ? left : b <= c ? up : corner;
    }
}
