using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration.Disks;

/// <summary>Reads the list <c>disk = [ "...", ... ]</c>, each string of it where it stands.</summary>
internal sealed class DiskListReader(ConfigurationEntry entry, DiagnosticList diagnostics)
{
    /// <summary>Disks of a domain, at most; xenstore's quotas would end it soon after.</summary>
    private const int MaximumDisks = 64;

    public IReadOnlyList<DiskConfiguration> Read()
    {
        IReadOnlyList<ConfigValue> items = entry.Value switch
        {
            ListValue list => list.Items,
            StringValue { Text: "" } => [],

            // disk="..." on a command line, and in hurried files.
            StringValue text => [text],
            _ => [entry.Value],
        };
        if (items.Count > MaximumDisks)
        {
            diagnostics.Error(entry.Source, entry.Position, entry.Key, $"disk has {items.Count} entries; {MaximumDisks} are possible");
            return [];
        }

        List<DiskConfiguration> disks = [];
        foreach (ConfigValue item in items)
        {
            if (ReadOne(item) is { } disk)
            {
                if (disks.Find(other => other.Number == disk.Number) is not null)
                {
                    Error(item, 0, $"virtual device '{disk.VirtualDevice}' is used twice");
                }

                disks.Add(disk);
            }
        }

        return disks;
    }

    private DiskConfiguration? ReadOne(ConfigValue item)
    {
        if (item is not StringValue text)
        {
            Error(item, 0, $"an entry of disk must be a string in quotes, not {item.Kind}");
            return null;
        }

        (DiskConfiguration? disk, string? problem, int at, IReadOnlyList<string> ignored) = DiskString.Read(text.Text);
        if (problem is not null)
        {
            Error(item, at + 1, problem);
        }

        foreach (string key in ignored)
        {
            diagnostics.Warning(entry.Source, Position(item, 0), entry.Key, $"'{key}' of a disk does nothing here");
        }

        return disk;
    }

    private void Error(ConfigValue item, int at, string message) => diagnostics.Error(entry.Source, Position(item, at), entry.Key, message);

    private SourcePosition? Position(ConfigValue item, int at) => entry.Locate?.Invoke(item.Offset + at) ?? entry.Position;
}
