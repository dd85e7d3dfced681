using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration.Displays;

/// <summary>Reads <c>vfb = [ "..." ]</c>, where it stands.</summary>
internal sealed class DisplayListReader(ConfigurationEntry entry, DiagnosticList diagnostics)
{
    /// <returns>Null when there is none, or none that makes sense.</returns>
    public DisplayConfiguration? Read()
    {
        IReadOnlyList<ConfigValue> items = entry.Value switch
        {
            ListValue list => list.Items,
            StringValue { Text: "" } => [],
            _ => [entry.Value],
        };
        if (items.Count == 0)
        {
            return null;
        }

        if (items.Count > 1)
        {
            Error(items[1], 0, "a domain has one vfb at most");
            return null;
        }

        if (items[0] is not StringValue text)
        {
            Error(items[0], 0, $"an entry of vfb must be a string in quotes, not {items[0].Kind}");
            return null;
        }

        (DisplayConfiguration? display, string? problem, int at, IReadOnlyList<string> warnings) = DisplayString.Read(text.Text);
        foreach (string warning in warnings)
        {
            diagnostics.Warning(entry.Source, Position(text, 0), entry.Key, warning);
        }

        if (problem is not null)
        {
            Error(text, at + 1, problem);
        }

        return display;
    }

    private void Error(ConfigValue item, int at, string message) => diagnostics.Error(entry.Source, Position(item, at), entry.Key, message);

    private SourcePosition? Position(ConfigValue item, int at) => entry.Locate?.Invoke(item.Offset + at) ?? entry.Position;
}
