using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration.Consoles;

/// <summary>Reads the list <c>channel = [ "...", ... ]</c>, each string of it where it stands.</summary>
internal sealed class ChannelListReader(ConfigurationEntry entry, DiagnosticList diagnostics)
{
    public IReadOnlyList<ChannelConfiguration> Read()
    {
        IReadOnlyList<ConfigValue> items = entry.Value switch
        {
            ListValue list => list.Items,
            StringValue { Text: "" } => [],
            _ => [entry.Value],
        };
        if (items.Count > ChannelConfiguration.HighestNumber)
        {
            diagnostics.Error(
                entry.Source, entry.Position, entry.Key, $"channel has {items.Count} entries; {ChannelConfiguration.HighestNumber} are possible");
            return [];
        }

        List<ChannelConfiguration> channels = [];
        foreach (ConfigValue item in items)
        {
            if (ReadOne(item, channels.Count + 1) is not { } channel)
            {
                continue;
            }

            if (channels.Find(other => other.Name == channel.Name) is not null)
            {
                Error(item, 0, $"name={channel.Name} is used by two channels");
            }

            channels.Add(channel);
        }

        return channels;
    }

    private ChannelConfiguration? ReadOne(ConfigValue item, int number)
    {
        if (item is not StringValue text)
        {
            Error(item, 0, $"an entry of channel must be a string in quotes, not {item.Kind}");
            return null;
        }

        (ChannelConfiguration? channel, string? problem, int at, IReadOnlyList<string> ignored) = ChannelString.Read(text.Text, number);
        if (problem is not null)
        {
            Error(item, at + 1, problem);
        }

        foreach (string key in ignored)
        {
            diagnostics.Warning(entry.Source, Position(item, 0), entry.Key, $"'{key}' of a channel does nothing here");
        }

        return channel;
    }

    private void Error(ConfigValue item, int at, string message) => diagnostics.Error(entry.Source, Position(item, at), entry.Key, message);

    private SourcePosition? Position(ConfigValue item, int at) => entry.Locate?.Invoke(item.Offset + at) ?? entry.Position;
}
