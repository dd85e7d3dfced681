using Microsoft.Win32.SafeHandles;
using Shinano.Linux;

namespace Shinano.Storage.Qcow2;

/// <summary>Opens an image with its backing chain.</summary>
internal static class Qcow2Opener
{
    /// <summary>More layers than this are refused: each read may have to ask all of them.</summary>
    private const int MostLayers = 200;

    /// <param name="forRepair">Images whose refcounts are known to be wrong are opened for writing, too, and without their backing file.</param>
    public static Qcow2Image Open(ImageReference reference, bool forRepair = false, int depth = 1)
    {
        if (reference.Sharing != ImageSharing.Exclusive && !reference.ReadOnly)
        {
            throw new IOException($"'{reference.Path}': a qcow2 image cannot be shared by several writers");
        }

        SafeFileHandle handle = ImageHandle.Open(reference, out _);
        Qcow2File file = new(handle, reference.Path);
        IBlockImage? backing = null;
        try
        {
            Qcow2Header header = ReadHeader(file);
            if (!reference.ReadOnly)
            {
                CheckWritable(file, header, forRepair);
            }

            ImageState state = new(file, header, !reference.ReadOnly);
            if (!reference.ReadOnly && !forRepair)
            {
                lock (state.Gate)
                {
                    state.Refcounts.RegisterBlocks();
                    state.Map.RegisterTables();
                    if (header.Autoclear != 0)
                    {
                        // qcow2.txt, autoclear_features: who does not know a bit clears it before the first write.
                        state.Rewrite(header with { Autoclear = 0 });
                    }
                }
            }

            backing = forRepair ? null : OpenBacking(reference, header, depth);
            return new Qcow2Image(state, backing, reference.Path, reference.ReadOnly);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public static Qcow2Header ReadHeader(Qcow2File file)
    {
        byte[] bytes = new byte[Math.Min(file.Length, Qcow2Header.MostHeaderBytes)];
        file.Read(0, bytes);
        try
        {
            return Qcow2Header.Parse(bytes);
        }
        catch (InvalidImageException e)
        {
            throw file.Invalid(e.Message);
        }
    }

    private static void CheckWritable(Qcow2File file, Qcow2Header header, bool forRepair)
    {
        if (header.Snapshots > 0)
        {
            throw file.Invalid($"the image has {header.Snapshots} internal snapshots: it can be read only ('qemu-img snapshot -d' removes them)");
        }

        if (!forRepair && (header.Incompatible & Qcow2Features.Dirty) != 0)
        {
            throw file.Invalid("the image was not closed properly (dirty bit): run 'xvol check --repair' first");
        }

        if (!forRepair && (header.Incompatible & Qcow2Features.Corrupt) != 0)
        {
            throw file.Invalid("the image is marked as corrupt: it can be read only, or mended by 'xvol check --repair'");
        }
    }

    private static IBlockImage? OpenBacking(ImageReference overlay, Qcow2Header header, int depth)
    {
        if (header.BackingFile is not { } name)
        {
            return null;
        }

        if (overlay.Backing == BackingPolicy.Refuse)
        {
            throw new InvalidImageException($"'{overlay.Path}' has a backing file ('{name}'), which is not allowed here");
        }

        ImageFormat format = header.BackingFormat switch
        {
            "qcow2" => ImageFormat.Qcow2,
            "raw" or "host_device" => ImageFormat.Raw,
            null => throw new InvalidImageException(
                $"'{overlay.Path}' does not state the format of its backing file '{name}' (qemu-img rebase -u -b '{name}' -F FORMAT states it)"),
            string other => throw new InvalidImageException($"'{overlay.Path}': its backing file has the format '{other}', which is not supported"),
        };
        if (name.StartsWith("json:", StringComparison.Ordinal) || (name.IndexOf(':') is var colon and > 0 && !name[..colon].Contains('/')))
        {
            throw new InvalidImageException($"'{overlay.Path}': its backing file '{name}' is not a file's path");
        }

        if (depth >= MostLayers)
        {
            throw new InvalidImageException($"'{overlay.Path}': the backing chain has more than {MostLayers} layers, or leads back to itself");
        }

        string path = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(overlay.Path))!, name);
        if (overlay.Backing == BackingPolicy.BesideImage)
        {
            CheckBeside(overlay.Path, path, name);
        }

        ImageReference reference = new(path, format) { ReadOnly = true, Backing = overlay.Backing, Sharing = overlay.Sharing };
        return format == ImageFormat.Raw ? RawImage.Open(reference) : Open(reference, forRepair: false, depth + 1);
    }

    private static void CheckBeside(string overlay, string path, string name)
    {
        string? Real(string file) => Path.GetDirectoryName(FileStorage.ResolvePath(file));
        if (FileStorage.GetKind(path) == FileKind.Missing)
        {
            throw new FileNotFoundException($"'{overlay}': its backing file '{path}' is missing", path);
        }

        if (Real(path) is not { } directory || directory != Real(overlay) || FileStorage.GetKind(path) != FileKind.Regular)
        {
            throw new InvalidImageException($"'{overlay}': its backing file '{name}' is not a file in the same directory, and others are not allowed here");
        }
    }
}
