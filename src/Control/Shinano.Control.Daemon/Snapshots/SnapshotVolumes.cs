using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Control.Configuration;
using Shinano.Control.Configuration.Disks;
using Shinano.Storage.Pools;

namespace Shinano.Control.Daemon.Snapshots;

/// <summary>The disks' part of domains' snapshots: snapshots of volumes under the same name, each known by the guid that the record has.</summary>
internal sealed class SnapshotVolumes(VolumePools pools)
{
    /// <summary>What is to be snapshotted of a domain: all that it can write to.</summary>
    /// <exception cref="DomainFailureException">A disk cannot be snapshotted, or has a snapshot of that name.</exception>
    public IReadOnlyList<SnapshotVolume> Plan(DomainConfiguration configuration, string snapshot)
    {
        List<SnapshotVolume> planned = [];
        foreach (DiskConfiguration disk in configuration.Disks.Where(disk => !disk.ReadOnly))
        {
            if (disk.Volume is not { } volume)
            {
                throw new DomainFailureException(
                    DomainFailureCode.DiskNotAVolume,
                    $"disk {disk.VirtualDevice} ({disk.Target}) is no volume, and only volumes can be snapshotted: xvol import makes one of a file");
            }

            VolumeName part = Named(() => VolumeName.ParseSnapshot($"{volume}@{snapshot}", "create snapshot"), DomainFailureCode.InvalidArgument);
            if (Named(() => PoolOf(part).FindSnapshot(part), DomainFailureCode.HostResource) is not null)
            {
                throw new DomainFailureException(DomainFailureCode.Duplicate, $"disk {disk.VirtualDevice} has a snapshot {part} already: choose another name");
            }

            planned.Add(new SnapshotVolume(disk.Number.ToString(CultureInfo.InvariantCulture), volume, Guid.NewGuid()));
        }

        return planned;
    }

    /// <summary>All parts are there, and none is another's.</summary>
    /// <exception cref="DomainFailureException">One is not.</exception>
    public void DemandWhole(SnapshotDescription description)
    {
        foreach (SnapshotVolume volume in description.Volumes)
        {
            VolumeName part = description.PartOf(volume);
            SnapshotFacts? facts = Named(() => PoolOf(part).FindSnapshot(part), DomainFailureCode.SnapshotIncomplete);
            if (facts?.Guid != volume.Guid)
            {
                throw new DomainFailureException(
                    DomainFailureCode.SnapshotIncomplete, facts is null ? $"{part} is gone, and with it the snapshot's disk" : $"{part} is not the one that was taken: another has its name");
            }
        }
    }

    /// <summary>Nobody has the volumes open.</summary>
    /// <param name="process">Who may, because it is going to be ended; null for nobody.</param>
    /// <exception cref="DomainFailureException">Somebody has.</exception>
    public void DemandIdle(SnapshotDescription description, int? process)
    {
        foreach (SnapshotVolume volume in description.Volumes)
        {
            VolumeName name = description.PartOf(volume);
            string? holder = Named(() => PoolOf(name).FindHolder(name), DomainFailureCode.HostResource);
            if (holder is not null && (process is null || !holder.Contains(string.Create(CultureInfo.InvariantCulture, $"process {process}"), StringComparison.Ordinal)))
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, $"{volume.Volume} is in use by {holder}");
            }
        }
    }

    /// <summary>No volume begins as a part of the snapshot.</summary>
    /// <exception cref="DomainFailureException">One does.</exception>
    public void DemandNoClones(SnapshotDescription description)
    {
        foreach (SnapshotVolume volume in description.Volumes)
        {
            VolumeName part = description.PartOf(volume);
            if (Find(part, volume) is { Clones: { Count: > 0 } clones })
            {
                throw new DomainFailureException(DomainFailureCode.WrongState, $"{part} has clones: {string.Join(", ", clones)}");
            }
        }
    }

    /// <summary>Makes the volumes what they were, those of a pool together. Doing it again changes nothing more.</summary>
    /// <exception cref="DomainFailureException">A pool refuses; other pools' volumes may be reverted already.</exception>
    public async Task RevertAsync(SnapshotDescription description)
    {
        foreach (IGrouping<string, (VolumeName Name, Guid Guid)> pool in description.Volumes
            .Select(volume => (Name: description.PartOf(volume), volume.Guid)).GroupBy(part => part.Name.Pool))
        {
            try
            {
                await PoolOf(pool.First().Name).RevertAsync([.. pool], CancellationToken.None);
            }
            catch (IOException e)
            {
                throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
            }
        }
    }

    /// <summary>Removes the parts that are there and the snapshot's own.</summary>
    /// <exception cref="DomainFailureException">A pool refuses.</exception>
    public async Task RemoveAsync(SnapshotDescription description)
    {
        foreach (SnapshotVolume volume in description.Volumes)
        {
            VolumeName part = description.PartOf(volume);
            if (Find(part, volume) is null)
            {
                continue;
            }

            try
            {
                await PoolOf(part).DestroyAsync(part, snapshots: false, clones: false, null, CancellationToken.None);
            }
            catch (IOException e)
            {
                throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
            }
        }
    }

    /// <summary>A part, if it is the snapshot's own; null when it, or its volume or pool, is gone.</summary>
    private SnapshotFacts? Find(VolumeName part, SnapshotVolume volume)
    {
        try
        {
            return PoolOf(part).FindSnapshot(part) is { } facts && facts.Guid == volume.Guid ? facts : null;
        }
        catch (VolumeException)
        {
            return null;
        }
    }

    private DirectoryPool PoolOf(VolumeName name) => pools.GetDirectoryPool(name, "snapshot");

    private static T Named<T>(Func<T> ask, DomainFailureCode code)
    {
        try
        {
            return ask();
        }
        catch (IOException e)
        {
            throw new DomainFailureException(code, e.Message, e);
        }
    }
}
