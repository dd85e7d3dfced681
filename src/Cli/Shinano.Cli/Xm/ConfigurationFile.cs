using Shinano.Control.Api.Domains;
using Shinano.Control.Api.Xend;

namespace Shinano.Cli.Xm;

/// <summary>Reads the file that a creation names, and sorts the arguments into file and settings.</summary>
internal static class ConfigurationFile
{
    /// <summary>Where xm has always looked for a bare name.</summary>
    private const string SystemDirectory = "/etc/xen";

    private const int LongestFile = 4 << 20;

    public static ConfigurationRequest Read(IReadOnlyList<string> words, bool strict, bool paused)
    {
        List<string> overrides = [];
        string? file = null;
        foreach (string word in words)
        {
            if (word.Contains('=', StringComparison.Ordinal) && !File.Exists(word))
            {
                overrides.Add(word);
            }
            else if (file is null)
            {
                file = word;
            }
            else
            {
                throw Invalid($"two files were given, '{file}' and '{word}'; settings have the form key=value");
            }
        }

        (string name, string text) = file switch
        {
            null => ("<no file>", ""),
            "-" => ("<standard input>", Console.In.ReadToEnd()),
            _ => ReadFile(file),
        };
        return new ConfigurationRequest
        {
            FileName = name,
            Text = text,
            Overrides = overrides,
            WorkingDirectory = Environment.CurrentDirectory,
            Strict = strict,
            Paused = paused,
        };
    }

    private static (string Name, string Text) ReadFile(string file)
    {
        string system = Path.Combine(SystemDirectory, file);
        string path = !File.Exists(file) && !file.Contains('/', StringComparison.Ordinal) && File.Exists(system) ? system : file;
        try
        {
            if (Directory.Exists(path))
            {
                throw Invalid($"{path}: is a directory, not a configuration");
            }

            if (new FileInfo(path).Length > LongestFile)
            {
                throw Invalid($"{path}: too large to be a configuration");
            }

            return (path, File.ReadAllText(path));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Invalid($"{file}: no such configuration file");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Invalid($"{path}: cannot be read: {e.Message}");
        }
    }

    private static XendFailureException Invalid(string message) => new(new DomainFailure(DomainFailureCode.BadConfiguration, message));
}
