using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Storage;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>send, receive, import, export.</summary>
internal static class TransferVerbs
{
    public static void AddTo(Command root, XvolContext context)
    {
        AddSend(root, context);
        AddReceive(root, context);
        AddImport(root, context);
        AddExport(root, context);
    }

    private static Option<string> Format() => new("-f", "--format") { Description = "raw or qcow2; by default the file's ending says it", HelpName = "format" };

    /// <summary>The stated format, or that of the file's ending; the file's contents are never asked.</summary>
    private static ImageFormat FormatOf(string? stated, string path, string action) =>
        (stated ?? Path.GetExtension(path).TrimStart('.')).ToLowerInvariant() switch
        {
            "raw" or "img" or "iso" or "bin" => ImageFormat.Raw,
            "qcow2" => ImageFormat.Qcow2,
            string other => throw new VolumeException($"cannot {action} '{path}': unknown format '{other}': give -f raw or -f qcow2"),
        };

    private static void AddSend(Command root, XvolContext context)
    {
        Option<string?> since = new("-i") { Description = "Send only what changed since this snapshot (tank/solaris@a, or @a)", HelpName = "snapshot" };
        Argument<string> sent = context.Snapshot();
        context.Add(root, "send", "Writes a snapshot as a stream to standard output.", [since, sent], async (result, token) =>
        {
            VolumeName name = VolumeName.ParseSnapshot(result.GetRequiredValue(sent), "send");
            string? text = result.GetValue(since);
            VolumeName? origin = text is null ? null : VolumeName.ParseSnapshot(text.StartsWith('@') ? name.Dataset + text : text, "send");
            if (!Console.IsOutputRedirected)
            {
                throw new VolumeException("Stream can not be written to a terminal.\nYou must redirect standard output.");
            }

            using TransferDisplay display = new(context.Environment, $"sending {name}");
            await using Stream output = context.Environment.OpenOutput();
            await using BufferedStream buffered = new(output, 1 << 20);
            await VolumeSender.SendAsync(context.Pools.GetDirectoryPool(name, "send"), name, origin, buffered, display, token);
        });
    }

    private static void AddReceive(Command root, XvolContext context)
    {
        Option<bool> force = Verb.Flag("-F", "Undo what was written since the latest snapshot");
        Argument<string> received = context.Name("volume", "The volume, or the snapshot's full name", info => info.Type == "volume");
        context.Add(root, "receive", "Makes a volume or a snapshot from a stream on standard input.", [force, received], async (result, token) =>
        {
            VolumeName name = VolumeName.Parse(result.GetRequiredValue(received), "receive");
            if (name.Volume.Length == 0)
            {
                throw new VolumeException($"cannot receive '{name}': it is a pool, not a volume");
            }

            using TransferDisplay display = new(context.Environment, $"receiving {name}");
            await using Stream input = context.Environment.OpenInput();
            await using BufferedStream buffered = new(input, 1 << 20);
            await VolumeReceiver.ReceiveAsync(context.Pools.GetDirectoryPool(name, "receive"), name, buffered, result.GetValue(force), display, token);
        });
        Command receive = root.Subcommands.First(command => command.Name == "receive");
        receive.Aliases.Add("recv");
    }

    private static void AddImport(Command root, XvolContext context)
    {
        Option<string> format = Format();
        Option<bool> backing = Verb.Flag("--with-backing", "Follow the image's backing files, wherever its header says they are");
        Argument<string> file = new("file") { Description = "An image file or a block device" };
        Argument<string> volume = context.Volume("The new volume");
        context.Add(root, "import", "Makes a volume from an image file.", [format, backing, file, volume], async (result, token) =>
        {
            VolumeName name = VolumeName.ParseVolume(result.GetRequiredValue(volume), "import");
            string path = result.GetRequiredValue(file);
            ImageReference source = new(path, FormatOf(result.GetValue(format), path, "import"))
            {
                Backing = result.GetValue(backing) ? BackingPolicy.Anywhere : BackingPolicy.Refuse,
            };
            using TransferDisplay display = new(context.Environment, $"importing {name}");
            await VolumeReceiver.ImportAsync(context.Pools.GetDirectoryPool(name, "import"), name, source, display, token);
        });
    }

    private static void AddExport(Command root, XvolContext context)
    {
        Option<string> format = Format();
        Option<bool> compress = Verb.Flag("-c", "Compress with zstd (qcow2 only)");
        Argument<string> exported = context.Any("A volume or snapshot");
        Argument<string> file = new("file") { Description = "The new file" };
        context.Add(root, "export", "Writes a volume or snapshot into an image file.", [format, compress, exported, file], async (result, token) =>
        {
            VolumeName name = VolumeName.Parse(result.GetRequiredValue(exported), "export");
            string path = result.GetRequiredValue(file);
            ImageFormat kind = FormatOf(result.GetValue(format), path, "export to");
            if (kind == ImageFormat.Raw && result.GetValue(compress))
            {
                throw new VolumeException($"cannot export to '{path}': a raw image cannot be compressed");
            }

            using TransferDisplay display = new(context.Environment, $"exporting {name}");
            await VolumeReceiver.ExportAsync(context.PoolOf(name), name, path, kind, result.GetValue(compress), display, token);
        });
    }
}
