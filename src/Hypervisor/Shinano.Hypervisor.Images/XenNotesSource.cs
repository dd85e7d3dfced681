namespace Shinano.Hypervisor.Images;

/// <summary>Where a kernel keeps what it says to Xen.</summary>
public enum XenNotesSource
{
    /// <summary>Nothing was found.</summary>
    None,

    /// <summary>Notes of name "Xen" in PT_NOTE segments.</summary>
    NoteSegments,

    /// <summary>Notes of name "Xen" in SHT_NOTE sections (no PT_NOTE segment has any).</summary>
    NoteSections,

    /// <summary>The string of the __xen_guest section, before Xen 3.0.3.</summary>
    LegacySection,
}
