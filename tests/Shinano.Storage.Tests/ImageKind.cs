using Shinano.Storage.Qcow2;

namespace Shinano.Storage.Tests;

/// <summary>An implementation that the suite of the contract runs over.</summary>
public sealed record ImageKind(string Name, ImageFormat Format)
{
    /// <summary>Makes an image of a length below a directory; its content must be the bytes given.</summary>
    public required Func<string, byte[], Task<string>> CreateAsync { get; init; }

    public override string ToString() => Name;

    public static ImageKind Raw { get; } = new("raw", ImageFormat.Raw) { CreateAsync = CreateRawAsync };

    public static ImageKind Qcow2 { get; } = new("qcow2", ImageFormat.Qcow2)
    {
        CreateAsync = async (directory, content) =>
        {
            string path = Path.Combine(directory, "image.qcow2");
            Qcow2Format.Create(path, content.Length);
            await FillAsync(path, content);
            return path;
        },
    };

    /// <summary>The content lies in a raw backing file that is shorter than the disk.</summary>
    public static ImageKind Overlay { get; } = new("qcow2 over raw", ImageFormat.Qcow2)
    {
        CreateAsync = async (directory, content) =>
        {
            int end = content.Length;
            while (end > 512 && content.AsSpan(end - 512, 512).IndexOfAnyExcept((byte)0) < 0)
            {
                end -= 512;
            }

            await File.WriteAllBytesAsync(Path.Combine(directory, "base.raw"), content[..end]);
            string path = Path.Combine(directory, "overlay.qcow2");
            Qcow2Format.Create(path, content.Length, ("base.raw", ImageFormat.Raw));
            return path;
        },
    };

    public static ImageKind Chain { get; } = new("qcow2 chain", ImageFormat.Qcow2)
    {
        CreateAsync = async (directory, content) =>
        {
            string lowest = await Qcow2!.CreateAsync(directory, content);
            string path = lowest;
            for (int i = 0; i < 3; i++)
            {
                string next = Path.Combine(directory, $"layer{i}.qcow2");
                Qcow2Format.Create(next, content.Length, (Path.GetFileName(path), ImageFormat.Qcow2));
                path = next;
            }

            return path;
        },
    };

    /// <summary>What QEMU makes with other cluster and refcount sizes and versions.</summary>
    public static ImageKind ByQemu(string name, string options) => new(name, ImageFormat.Qcow2)
    {
        CreateAsync = async (directory, content) =>
        {
            QemuImg.SkipIfMissing();
            string raw = Path.Combine(directory, "source.raw");
            string path = Path.Combine(directory, "image.qcow2");
            await File.WriteAllBytesAsync(raw, content);
            string[] compress = options.Contains("compress", StringComparison.Ordinal) ? ["-c"] : [];
            await QemuImg.RunAsync(["convert", .. compress, "-f", "raw", "-O", "qcow2", "-o", options.Replace("compress,", "", StringComparison.Ordinal), raw, path]);
            return path;
        },
    };

    public static IEnumerable<ImageKind> All =>
    [
        Raw, Qcow2, Overlay, Chain,
        ByQemu("qcow2 version 2", "compat=0.10"),
        ByQemu("qcow2, 512-byte clusters", "cluster_size=512"),
        ByQemu("qcow2, 2 MiB clusters", "cluster_size=2M"),
        ByQemu("qcow2, 1-bit refcounts", "refcount_bits=1,cluster_size=4k"),
        ByQemu("qcow2, 64-bit refcounts", "refcount_bits=64,cluster_size=4k"),
        ByQemu("qcow2, deflate", "compress,cluster_size=64k"),
        ByQemu("qcow2, zstd", "compress,compression_type=zstd,cluster_size=16k"),
    ];

    private static async Task<string> CreateRawAsync(string directory, byte[] content)
    {
        string path = Path.Combine(directory, "image.raw");
        await using RawImage image = RawImage.Create(path, content.Length);
        await FillAsync(image, content);
        return path;
    }

    private static async Task FillAsync(string path, byte[] content)
    {
        await using IBlockImage image = await ImageFile.OpenAsync(new ImageReference(path, ImageFormat.Qcow2));
        await FillAsync(image, content);
    }

    private static async Task FillAsync(IBlockImage image, byte[] content)
    {
        const int Piece = 128 << 10;
        for (int at = 0; at < content.Length; at += Piece)
        {
            ReadOnlyMemory<byte> piece = content.AsMemory(at, Math.Min(Piece, content.Length - at));
            if (piece.Span.IndexOfAnyExcept((byte)0) >= 0)
            {
                await image.WriteAsync(at, piece);
            }
        }
    }
}
