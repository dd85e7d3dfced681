using System.Text.Json;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Consoles;
using Shinano.Control.Daemon.Domains;
using Shinano.SavedState;

namespace Shinano.Control.Daemon.Saving;

/// <summary>xend's section of a saved domain: what a domain is to be made like, and its part of xenstore. See docs/formats/saved-domain.md.</summary>
internal sealed record SavedDescription
{
    /// <summary>Most nodes that are taken from a file.</summary>
    private const int MostNodes = 4096;
    private const int MostWatches = 1024;
    private const int MostFormerIds = 256;

    public required string Name { get; init; }

    public required Guid Uuid { get; init; }

    /// <summary>Numbers that the domain had, the oldest first; the last is that under which it was saved.</summary>
    public required IReadOnlyList<int> FormerIds { get; init; }

    public required DateTimeOffset SavedAt { get; init; }

    /// <summary>The snapshot that the file is the memory of; null for none.</summary>
    public Guid? Snapshot { get; init; }

    /// <summary>With absolute paths, and the devices that it had when it was saved.</summary>
    public required DomainConfiguration Configuration { get; init; }

    public required IReadOnlyList<SavedNode> Nodes { get; init; }

    public required IReadOnlyList<SavedWatch> Watches { get; init; }

    /// <summary>Describes a domain that keeps still.</summary>
    public static SavedDescription Of(DomainEntry entry, StoreSnapshot store, DateTimeOffset now)
    {
        (IReadOnlyList<SavedNode> nodes, IReadOnlyList<SavedWatch> watches) = store.Take(entry.Id);
        DomainRecord record = entry.Record;
        return new SavedDescription
        {
            Name = record.Name,
            Uuid = record.Uuid,
            FormerIds = [.. record.FormerIds, entry.Id],
            SavedAt = now,
            Configuration = record.Configuration with { Name = record.Name, Uuid = record.Uuid },
            Nodes = nodes,
            Watches = watches,
        };
    }

    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, ControlJson.Options);

    /// <summary>Verifies a whole file, and reads xend's section of it.</summary>
    /// <exception cref="DomainFailureException">The file cannot be read, or is no saved domain in order.</exception>
    public static SavedDescription ReadFile(string path)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
            SectionReader sections = new(file);
            if (sections.Read(out byte[] payload) != SectionKind.Description)
            {
                throw new SavedStateException(SavedStateError.Damaged, "the description is not where it should be");
            }

            SavedDescription description = Read(payload);
            sections.VerifyRest();
            return description;
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.Of(e, path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{path}: cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Reads xend's section; its content is hostile.</summary>
    /// <exception cref="SavedStateException">It makes no sense.</exception>
    internal static SavedDescription Read(ReadOnlySpan<byte> payload)
    {
        SavedDescription? description;
        try
        {
            description = JsonSerializer.Deserialize<SavedDescription>(payload, ControlJson.Options);
        }
        catch (Exception e) when (e is JsonException or NotSupportedException)
        {
            throw StateReader.Senseless($"the description cannot be read: {e.Message}");
        }

        // JSON can leave out, or say null, where C# has no null.
        if (description is not { Name: not null, FormerIds: not null, Configuration: not null, Nodes: not null, Watches: not null })
        {
            throw StateReader.Senseless("the description lacks something");
        }

        StateReader.Demand(DomainName.Check(description.Name) is null, "the domain's name is none");
        StateReader.Demand(
            description.FormerIds.Count is > 0 and <= MostFormerIds && description.FormerIds.All(id => id is > 0 and < 0x7ff0), "the domain's numbers are none");
        StateReader.Demand(
            description.Nodes.Count <= MostNodes
            && description.Nodes.All(node => node is { Path: not null, Value: not null, Permissions: not null } && node.Permissions.All(one => one is not null))
            && description.Watches.Count <= MostWatches && description.Watches.All(watch => watch is { Path: not null, Token: not null }),
            "the domain's nodes or watches are none");
        DomainConfiguration configuration = description.Configuration;
        StateReader.Demand(
            configuration is { Kernel: not null, CommandLine: not null, Disks: not null, Vifs: not null, Channels: not null }
            && configuration.Disks.All(disk => disk is not null) && configuration.Vifs.All(vif => vif is not null)
            && configuration.Channels.All(channel => channel is { Name: not null, Number: >= 1 and <= ChannelConfiguration.HighestNumber })
            && configuration.MemoryMebibytes > 0 && configuration.MaxMemoryMebibytes >= configuration.MemoryMebibytes
            && configuration.MaxVcpus is > 0 and <= 32 && configuration.Vcpus > 0 && configuration.Vcpus <= configuration.MaxVcpus,
            "the domain's configuration makes no sense");
        return description;
    }
}
