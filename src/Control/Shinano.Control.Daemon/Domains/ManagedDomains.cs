using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Configuration;
using Shinano.Linux;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Domains that are known whether they run or not (<c>xm new</c>, <c>start</c>, <c>delete</c>): one JSON file each in the state directory.</summary>
internal sealed class ManagedDomains(ShinanoPaths paths)
{
    private readonly Lock _lock = new();

    private string Folder => Path.Combine(paths.StateDirectory, "managed");

    public IReadOnlyList<DomainConfiguration> All
    {
        get
        {
            lock (_lock)
            {
                return Directory.Exists(Folder)
                    ? [.. Directory.EnumerateFiles(Folder, "*.json").Order(StringComparer.Ordinal).Select(TryRead).OfType<DomainConfiguration>()]
                    : [];
            }
        }
    }

    /// <summary>Stores a new definition and returns it with its uuid; one of the same name is replaced and keeps its uuid.</summary>
    public DomainConfiguration Add(DomainConfiguration configuration)
    {
        lock (_lock)
        {
            DomainConfiguration? earlier = TryRead(FileOf(configuration.Name));
            DomainConfiguration stored = configuration with { Uuid = configuration.Uuid ?? earlier?.Uuid ?? Guid.NewGuid() };
            ShinanoPaths.EnsureDirectory(Folder);
            string temporary = FileOf(configuration.Name) + ".new";
            File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(stored, ControlJson.Indented));
            File.Move(temporary, FileOf(configuration.Name), overwrite: true);
            return stored;
        }
    }

    public DomainConfiguration Find(string name) =>
        TryFind(name) ?? throw new DomainFailureException(DomainFailureCode.NoSuchDomain, $"no managed domain '{name}': xm new makes one");

    public DomainConfiguration? TryFind(string name)
    {
        lock (_lock)
        {
            return DomainName.Check(name) is null ? TryRead(FileOf(name)) : null;
        }
    }

    public void Remove(string name)
    {
        lock (_lock)
        {
            File.Delete(FileOf(Find(name).Name));
        }
    }

    private static DomainConfiguration? TryRead(string path)
    {
        try
        {
            return JsonSerializer.Deserialize<DomainConfiguration>(File.ReadAllBytes(path), ControlJson.Options);
        }
        catch (Exception e) when (e is IOException or JsonException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private string FileOf(string name) => Path.Combine(Folder, $"{name}.json");
}
