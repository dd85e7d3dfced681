using Shinano.Control.Configuration.Syntax;

namespace Shinano.Control.Configuration;

/// <summary>Makes a typed configuration of text, saying everything that is wrong with it, not only the first thing.</summary>
public static class ConfigurationReader
{
    /// <summary>Reads and checks. With <paramref name="strict"/> every warning is an error. Never throws on content.</summary>
    public static ConfigurationResult Read(ConfigurationText text, bool strict)
    {
        DiagnosticList diagnostics = new(strict);
        Dictionary<string, ConfigurationEntry> entries = Collect(text, diagnostics);
        DomainConfiguration? configuration = diagnostics.HasErrors
            ? null
            : new ConfigurationBuilder(entries, text.FileName, diagnostics).Build();
        return new ConfigurationResult(diagnostics.HasErrors ? null : configuration, diagnostics.Items);
    }

    private static Dictionary<string, ConfigurationEntry> Collect(ConfigurationText text, DiagnosticList diagnostics)
    {
        Dictionary<string, ConfigurationEntry> entries = new(StringComparer.Ordinal);
        if (text.Text.Length > ConfigurationText.MaximumLength)
        {
            diagnostics.Error(text.FileName, null, null, $"longer than {ConfigurationText.MaximumLength} characters: not a domain configuration");
            return entries;
        }

        LineMap lines = new(text.Text);
        (IReadOnlyList<ConfigAssignment> assignments, SyntaxFailure? failure) = ConfigGrammar.ParseFile(text.Text);
        if (failure is not null)
        {
            diagnostics.Error(text.FileName, lines.Locate(failure.Offset), null, failure.Message + PythonHint(text.Text, lines, failure.Offset));
        }

        foreach (ConfigAssignment assignment in assignments)
        {
            Add(entries, assignment, text.FileName, lines.Locate, diagnostics, isOverride: false);
        }

        for (int i = 0; i < text.Overrides.Count; i++)
        {
            ReadOverride(entries, text.Overrides[i], diagnostics);
        }

        return entries;
    }

    private static void ReadOverride(Dictionary<string, ConfigurationEntry> entries, string argument, DiagnosticList diagnostics)
    {
        int equals = argument.IndexOf('=', StringComparison.Ordinal);
        string key = equals < 0 ? argument.Trim() : argument[..equals].Trim();
        bool append = key.EndsWith('+');
        key = append ? key[..^1].TrimEnd() : key;
        if (equals < 0 || !ConfigGrammar.IsKey(key))
        {
            diagnostics.Error(ConfigurationText.CommandLine, null, null, $"'{argument}' is not of the form key=value");
            return;
        }

        string written = argument[(equals + 1)..];
        string trimmed = written.Trim();
        (ConfigValue? value, SyntaxFailure? failure) = ConfigGrammar.ParseValue(trimmed);
        if (value is null && trimmed.Length > 0 && trimmed[0] is '"' or '\'' or '[')
        {
            diagnostics.Error(ConfigurationText.CommandLine, null, key, $"in '{argument}': {failure!.Message}");
            return;
        }

        // The shell has eaten the quotes of extra="..."; what is no number is taken as the string it was.
        value ??= new StringValue(0, written);
        Add(entries, new ConfigAssignment(0, key, append, value), ConfigurationText.CommandLine, null, diagnostics, isOverride: true);
    }

    private static void Add(
        Dictionary<string, ConfigurationEntry> entries,
        ConfigAssignment assignment,
        string source,
        Func<int, SourcePosition>? locate,
        DiagnosticList diagnostics,
        bool isOverride)
    {
        SourcePosition? position = locate?.Invoke(assignment.Offset);
        string key = assignment.Key;
        if (ConfigurationKeys.Obsolete.TryGetValue(key, out string? advice))
        {
            diagnostics.Warning(source, position, key, $"'{key}' is obsolete and ignored: {advice}");
            return;
        }

        if (!ConfigurationKeys.Supported.Contains(key) && !ConfigurationKeys.NotYet.Contains(key))
        {
            string? nearest = ConfigurationKeys.Nearest(key);
            diagnostics.Warning(source, position, key, $"unknown key '{key}' is ignored" + (nearest is null ? "" : $"; did you mean '{nearest}'?"));
            return;
        }

        ConfigValue value = assignment.Value;
        if (entries.TryGetValue(key, out ConfigurationEntry? earlier))
        {
            if (assignment.IsAppend)
            {
                if (Append(earlier.Value, value) is not { } joined)
                {
                    diagnostics.Error(source, position, key, $"'{key} +=' adds {value.Kind} to {earlier.Value.Kind}");
                    return;
                }

                value = joined;
            }
            else if (!isOverride)
            {
                diagnostics.Warning(source, position, key, $"'{key}' was set before, at {earlier.Source}:{earlier.Position}; this one counts");
            }
        }

        entries[key] = new ConfigurationEntry(key, value, source, position, locate);
    }

    private static ConfigValue? Append(ConfigValue first, ConfigValue second) => (first, second) switch
    {
        (StringValue a, StringValue b) => new StringValue(a.Offset, a.Text + b.Text),
        (ListValue a, ListValue b) => new ListValue(a.Offset, [.. a.Items, .. b.Items]),
        _ => null,
    };

    /// <summary>xm's files were Python programs; ours are data. Say so where the text looks like one.</summary>
    private static string PythonHint(string text, LineMap lines, int offset)
    {
        string line = lines.LineAt(text, offset).TrimStart();
        string[] words = ["import ", "from ", "def ", "if ", "for ", "else", "print", "return "];
        return words.Any(word => line.StartsWith(word, StringComparison.Ordinal))
            ? " (a configuration is data: Python statements of old xm files are not executed)"
            : "";
    }
}
