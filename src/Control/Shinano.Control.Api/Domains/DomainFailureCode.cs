namespace Shinano.Control.Api.Domains;

/// <summary>Named reasons why something asked of a domain did not happen. Clients print them; scripts test them.</summary>
public enum DomainFailureCode
{
    /// <summary>None of the others; the message has the detail.</summary>
    Internal,

    /// <summary>The kernel file is missing or cannot be read.</summary>
    KernelUnreadable,

    /// <summary>Neither ELF nor bzImage.</summary>
    NotAKernel,

    /// <summary>The image ends before its own headers say, or its payload does not decompress.</summary>
    KernelTruncated,

    /// <summary>A kernel, but without a PV entry; the message names what it does have.</summary>
    NoParavirtualSupport,

    RamdiskUnreadable,

    RamdiskTooLarge,

    /// <summary>Memory does not hold kernel, ramdisk and initial tables.</summary>
    MemoryTooSmall,

    /// <summary>More memory than the host can give.</summary>
    MemoryTooLarge,

    /// <summary>An engine that is unknown or cannot run here.</summary>
    CpuEngineUnavailable,

    /// <summary>A file or socket of the domain could not be made (full disk, permissions).</summary>
    HostResource,

    /// <summary>The call makes no sense in the domain's present state.</summary>
    WrongState,

    InvalidArgument,

    NotSupported,

    /// <summary>Name or uuid is taken.</summary>
    Duplicate,

    NoSuchDomain,

    /// <summary>The domain process died or did not answer.</summary>
    DomainProcessLost,

    /// <summary>Configuration text that does not parse or type-check.</summary>
    BadConfiguration,

    TimedOut,

    /// <summary>Not a saved domain at all.</summary>
    NotASavedDomain,

    /// <summary>A saved domain of another version of the format.</summary>
    SavedDomainVersion,

    /// <summary>A saved domain whose file ends too early.</summary>
    SavedDomainTruncated,

    /// <summary>A saved domain whose file was damaged or changed.</summary>
    SavedDomainDamaged,

    /// <summary>A whole file, but what it says cannot be the state of a domain.</summary>
    SavedDomainSenseless,

    /// <summary>The domain has no snapshot of that name.</summary>
    NoSuchSnapshot,

    /// <summary>A disk that the domain writes to is no volume of a pool that can be snapshotted.</summary>
    DiskNotAVolume,

    /// <summary>A volume's part of a snapshot is gone, or another one has its name.</summary>
    SnapshotIncomplete,

    /// <summary>Not a snapshot's record at all.</summary>
    NotASnapshot,

    /// <summary>A snapshot's record of another version of the format.</summary>
    SnapshotVersion,

    /// <summary>A snapshot's record that ends too early.</summary>
    SnapshotTruncated,

    /// <summary>A snapshot's record that was damaged or changed.</summary>
    SnapshotDamaged,

    /// <summary>A whole record, but what it says cannot be a snapshot, or is not what the memory's file or the directory says.</summary>
    SnapshotSenseless,

    /// <summary>The other side of a migration cannot be reached, or does not listen.</summary>
    MigrationUnreachable,

    /// <summary>The other side of a migration has a key that is not trusted here, or ours is not trusted there.</summary>
    MigrationUntrusted,

    /// <summary>The other side sent what is no migration at all.</summary>
    NotAMigration,

    /// <summary>A migration of another version of the stream.</summary>
    MigrationVersion,

    /// <summary>The stream of a migration ended too early, or in the wrong place.</summary>
    MigrationBroken,

    /// <summary>The stream of a migration was damaged or changed.</summary>
    MigrationDamaged,

    /// <summary>A whole stream, but what it says cannot be the state of a domain, or comes out of turn.</summary>
    MigrationSenseless,

    /// <summary>The domain was handed over and nobody has said that it arrived: it runs on one of both sides at most, and xend goes on asking.</summary>
    MigrationUnresolved,
}
