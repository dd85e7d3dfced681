using System.CommandLine;
using Shinano.Cli.Xm;
using Shinano.Storage.Pools;

namespace Shinano.Cli.Xvol;

/// <summary>create, destroy, rename, resize, set.</summary>
internal static class VolumeVerbs
{
    public static void AddTo(Command root, XvolContext context)
    {
        AddCreate(root, context);
        AddDestroy(root, context);
        Argument<string> from = context.Any("A volume or snapshot");
        Argument<string> to = new("new-name") { Description = "Its new name" };
        context.Add(root, "rename", "Renames a volume or a snapshot.", [from, to], (result, token) =>
        {
            VolumeName name = VolumeName.Parse(result.GetRequiredValue(from), "rename");
            string wanted = result.GetRequiredValue(to);
            return context.PoolOf(name).RenameAsync(name, VolumeName.Parse(wanted.StartsWith('@') ? name.Dataset + wanted : wanted, "rename to"), token);
        });
        Argument<string> resized = context.Volume();
        Argument<string> length = new("size") { Description = "The new size, as 16G" };
        context.Add(root, "resize", "Makes a volume larger.", [resized, length], (result, token) =>
        {
            VolumeName name = VolumeName.ParseVolume(result.GetRequiredValue(resized), "resize");
            return context.PoolOf(name).ResizeAsync(name, Size(result.GetRequiredValue(length), name, "resize"), token);
        });
        Argument<string> setting = new("property=value") { Description = "compression=off|zstd, readonly=on|off, volsize=SIZE; of a pool: quota=SIZE|none" };
        Argument<string> changed = context.Any("A volume or a pool");
        context.Add(root, "set", "Sets a property.", [setting, changed], (result, token) =>
        {
            VolumeName name = VolumeName.Parse(result.GetRequiredValue(changed), "set property for");
            (string property, string value) = Setting(result.GetRequiredValue(setting), name);
            return context.PoolOf(name).SetAsync(name, property, value, token);
        });
    }

    /// <exception cref="VolumeException">It is no size.</exception>
    public static long Size(string text, VolumeName name, string action) =>
        ByteSize.TryParse(text, out long size) ? size : throw new VolumeException($"cannot {action} '{name}': bad volume size '{text}': a number, and K, M, G or T");

    private static (string Property, string Value) Setting(string text, VolumeName name) =>
        text.IndexOf('=') is var at and > 0 ? (text[..at], text[(at + 1)..]) : throw new VolumeException($"cannot set property for '{name}': missing '=' in '{text}'");

    private static void AddCreate(Command root, XvolContext context)
    {
        Option<string> size = new("-V") { Description = "The size, as 8G or 512M", Required = true, HelpName = "size" };
        Option<bool> sparse = Verb.Flag("-s", "Accepted as zfs(8) does: volumes take only the space that they use");
        Option<string[]> settings = new("-o") { Description = "Set a property", HelpName = "property=value" };
        Argument<string> volume = context.Volume("The new volume, as tank/solaris");
        context.Add(root, "create", "Makes a volume of zeroes.", [size, sparse, settings, volume], async (result, token) =>
        {
            VolumeName name = VolumeName.ParseVolume(result.GetRequiredValue(volume), "create");
            IVolumePool pool = context.PoolOf(name);
            (string, string)[] properties = [.. (result.GetValue(settings) ?? []).Select(text => Setting(text, name))];
            await pool.CreateAsync(name, Size(result.GetRequiredValue(size), name, "create"), token);
            try
            {
                foreach ((string property, string value) in properties)
                {
                    await pool.SetAsync(name, property, value, token);
                }
            }
            catch
            {
                await pool.DestroyAsync(name, snapshots: false, clones: false, null, token);
                throw;
            }
        });
    }

    private static void AddDestroy(Command root, XvolContext context)
    {
        Option<bool> snapshots = Verb.Flag("-r", "Destroy the volume's snapshots as well");
        Option<bool> clones = Verb.Flag("-R", "Destroy its snapshots and all their clones as well");
        Argument<string> destroyed = context.Any("A volume or snapshot");
        context.Add(root, "destroy", "Destroys a volume or a snapshot.", [snapshots, clones, destroyed], async (result, token) =>
        {
            VolumeName name = VolumeName.Parse(result.GetRequiredValue(destroyed), "destroy");
            using TransferDisplay display = new(context.Environment, "merging layers");
            await context.PoolOf(name).DestroyAsync(name, result.GetValue(snapshots), result.GetValue(clones), display, token);
        });
    }
}
