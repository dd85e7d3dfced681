namespace Shinano.Hypervisor.Images;

/// <summary>Why a file cannot be started as a 64-bit PV kernel. A closed set: callers map each to an exit code or to advice.</summary>
public enum KernelImageError
{
    /// <summary>Neither an ELF file, nor a Linux bzImage, nor a gzip file holding one of them.</summary>
    NotAKernel,

    /// <summary>An ELF file whose headers point outside the file, overflow, or contradict each other.</summary>
    MalformedElf,

    /// <summary>A bzImage that ends before its setup header or before the end of its payload.</summary>
    TruncatedBzImage,

    /// <summary>A bzImage whose boot protocol is older than 2.08, which has no payload fields.</summary>
    BootProtocolTooOld,

    /// <summary>The payload is compressed in a way that is not known here.</summary>
    UnsupportedCompression,

    /// <summary>The compressed payload does not decompress to what it says.</summary>
    CorruptPayload,

    /// <summary>The payload says that it is larger than <see cref="KernelImageReader.MaximumImageSize"/>.</summary>
    PayloadTooLarge,

    /// <summary>A kernel for another processor.</summary>
    UnsupportedArchitecture,

    /// <summary>A kernel without what Xen needs to start it as a PV domain.</summary>
    NoPvSupport,

    /// <summary>A PV kernel for 32-bit guests (x86_32 or x86_32p).</summary>
    ThirtyTwoBitPv,

    /// <summary>Xen notes are there, but contradict each other, or ask for what a domain U cannot have.</summary>
    InvalidXenNotes,
}
