using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration.Networks;

/// <summary>Reads the list <c>vif = [ "...", ... ]</c>, each string of it where it stands.</summary>
internal sealed class VifListReader(ConfigurationEntry entry, DiagnosticList diagnostics)
{
    /// <summary>Interfaces of a domain, at most.</summary>
    private const int MaximumVifs = 32;

    public IReadOnlyList<VifConfiguration> Read()
    {
        IReadOnlyList<ConfigValue> items = entry.Value switch
        {
            ListValue list => list.Items,
            StringValue { Text: "" or "none" } => [],

            // vif="..." on a command line, and in hurried files.
            StringValue text => [text],
            _ => [entry.Value],
        };
        if (items.Count > MaximumVifs)
        {
            diagnostics.Error(entry.Source, entry.Position, entry.Key, $"vif has {items.Count} entries; {MaximumVifs} are possible");
            return [];
        }

        List<VifConfiguration> vifs = [];
        foreach (ConfigValue item in items)
        {
            if (ReadOne(item, vifs.Count) is { } vif)
            {
                if (vifs.Find(other => other.Number == vif.Number) is not null)
                {
                    Error(item, 0, $"number {vif.Number} is used by two interfaces");
                }

                if (vif.Mac is not null && vifs.Find(other => other.Mac == vif.Mac) is not null)
                {
                    Error(item, 0, $"mac={vif.Mac} is used by two interfaces");
                }

                if (vif.Forwards.FirstOrDefault(forward => vifs.Exists(other => other.Forwards.Any(forward.IsInTheWayOf))) is { } taken)
                {
                    Error(item, 0, $"forward={taken}: port {taken.HostPort} of the host is taken by another interface");
                }

                vifs.Add(vif);
            }
        }

        return vifs;
    }

    private VifConfiguration? ReadOne(ConfigValue item, int number)
    {
        if (item is not StringValue text)
        {
            Error(item, 0, $"an entry of vif must be a string in quotes, not {item.Kind}");
            return null;
        }

        (VifConfiguration? vif, string? problem, int at, IReadOnlyList<string> ignored) = VifString.Read(text.Text, number);
        if (problem is not null)
        {
            Error(item, at + 1, problem);
        }

        foreach (string key in ignored)
        {
            diagnostics.Warning(entry.Source, Position(item, 0), entry.Key, $"'{key}' of a network interface does nothing here");
        }

        return vif;
    }

    private void Error(ConfigValue item, int at, string message) => diagnostics.Error(entry.Source, Position(item, at), entry.Key, message);

    private SourcePosition? Position(ConfigValue item, int at) => entry.Locate?.Invoke(item.Offset + at) ?? entry.Position;
}
