using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Linux;
using Shinano.Network;

namespace Shinano.Control.Daemon.Networks;

/// <summary>Records of vnics: <c>RUN/network/vnics/NAME.json</c>, for the user alone, since tokens are inside.</summary>
internal sealed class VnicRecords(ShinanoPaths paths)
{
    private readonly SwitchPaths _paths = new(Path.Combine(paths.RunDirectory, "network"));

    /// <summary>All that can be read.</summary>
    public IReadOnlyList<VnicRecord> ReadAll()
    {
        if (!Directory.Exists(_paths.Vnics))
        {
            return [];
        }

        List<VnicRecord> records = [];
        foreach (string file in Directory.EnumerateFiles(_paths.Vnics, "*.json").Order(StringComparer.Ordinal))
        {
            try
            {
                if (JsonSerializer.Deserialize<VnicRecord>(File.ReadAllBytes(file), ControlJson.Options) is { } record)
                {
                    records.Add(record);
                }
            }
            catch (Exception e) when (e is JsonException or IOException)
            {
                File.Delete(file);
            }
        }

        return records;
    }

    public void Write(VnicRecord record)
    {
        ShinanoPaths.EnsureDirectory(_paths.Directory);
        ShinanoPaths.EnsureDirectory(_paths.Vnics);
        string path = PathOf(record.Spec.Name);

        // Renamed into place: a killed xend leaves the old record or the new one.
        File.WriteAllBytes(path + ".new", JsonSerializer.SerializeToUtf8Bytes(record, ControlJson.Options));
        File.Move(path + ".new", path, overwrite: true);
    }

    public void Delete(string name) => File.Delete(PathOf(name));

    private string PathOf(string name) => Path.Combine(_paths.Vnics, $"{name}.json");
}
