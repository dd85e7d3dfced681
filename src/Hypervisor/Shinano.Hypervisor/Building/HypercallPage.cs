namespace Shinano.Hypervisor.Building;

/// <summary>The page of 32-byte stubs that a kernel calls for hypercalls. Source: Xen's hypercall_page_initialise_ring3_kernel.</summary>
public static class HypercallPage
{
    private const int StubSize = 32;
    private const int Iret = 23;

    /// <summary>Fills a page: push rcx; push r11; mov eax, N; syscall; pop r11; pop rcx; ret. The stub of iret does not come back.</summary>
    public static void Write(Span<byte> page)
    {
        page.Fill(0xCC);
        for (int number = 0; number < page.Length / StubSize; number++)
        {
            Span<byte> stub = page.Slice(number * StubSize, StubSize);
            if (number == Iret)
            {
                // The iret frame holds RCX and R11: push rcx; push r11; push rax; mov eax, 23; syscall.
                ((ReadOnlySpan<byte>)[0x51, 0x41, 0x53, 0x50, 0xB8, Iret, 0, 0, 0, 0x0F, 0x05]).CopyTo(stub);
            }
            else
            {
                ((ReadOnlySpan<byte>)[0x51, 0x41, 0x53, 0xB8, (byte)number, 0, 0, 0, 0x0F, 0x05, 0x41, 0x5B, 0x59, 0xC3]).CopyTo(stub);
            }
        }
    }
}
